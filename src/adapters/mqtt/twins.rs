//! What reads the same for both versions: the client crate has each of its types twice, under the same names.

/// A connection's events, and its qualities of service in our words and the crate's. `$options` is where the event loop has its options.
macro_rules! twins {
    ($options:ident) => {
        pub(super) struct Running {
            events: EventLoop,
            connected: bool,
            peer: SafeText,
        }

        #[async_trait]
        impl Events for Running {
            async fn next(&mut self) -> Result<Happened, Ending> {
                match self.events.poll().await {
                    Ok(event) => {
                        self.connected = true;
                        Ok(happened(event))
                    }
                    Err(error) => Err(ending(&error, self.connected, &self.peer)),
                }
            }

            fn more(&mut self) -> Option<Happened> {
                self.events.state.events.pop_front().map(happened)
            }

            fn pause(&mut self) -> Duration {
                self.events.state.await_pingresp = false;
                self.events.$options.keep_alive()
            }
        }

        fn raw(qos: Qos) -> QoS {
            match qos {
                Qos::Zero => QoS::AtMostOnce,
                Qos::One => QoS::AtLeastOnce,
                Qos::Two => QoS::ExactlyOnce,
            }
        }

        fn ours(qos: QoS) -> Qos {
            match qos {
                QoS::AtMostOnce => Qos::Zero,
                QoS::AtLeastOnce => Qos::One,
                QoS::ExactlyOnce => Qos::Two,
            }
        }
    };
}

pub(super) use twins;
