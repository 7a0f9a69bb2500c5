//! What breaks, and what is said and kept when it does: brokers killed under a tail, damaged logs, refusals.

#[cfg(all(feature = "kafka", feature = "mqtt", feature = "nats", feature = "rabbitmq", feature = "redis"))]
mod attempts;
#[cfg(feature = "kafka")]
mod cluster;
#[cfg(feature = "kafka")]
mod coordinator;
#[cfg(feature = "kafka")]
mod crash;
#[cfg(feature = "kafka")]
mod damage;
#[cfg(feature = "kafka")]
mod held;
#[cfg(feature = "kafka")]
mod leaderless;
#[cfg(feature = "mqtt")]
mod mqtt;
#[cfg(feature = "mqtt")]
mod mqtt_flood;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "kafka")]
mod publish;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
#[cfg(feature = "rabbitmq")]
mod rabbitmq_alarm;
#[cfg(feature = "rabbitmq")]
mod rabbitmq_cluster;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "kafka")]
mod refusal;
#[cfg(feature = "kafka")]
mod search;
#[cfg(feature = "kafka")]
mod throttle;
#[cfg(feature = "kafka")]
mod transactions;
