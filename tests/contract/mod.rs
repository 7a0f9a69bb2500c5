//! What every system must do through its handles: the same tests for the one in memory and for every real one.

mod addresses;
#[cfg(all(feature = "kafka", feature = "mqtt", feature = "nats", feature = "rabbitmq", feature = "redis"))]
mod beside_writer;
#[cfg(all(feature = "kafka", feature = "mqtt", feature = "nats", feature = "rabbitmq"))]
mod bounded;
mod dead_letters;
mod find;
#[cfg(all(feature = "kafka", feature = "mqtt", feature = "nats", feature = "redis"))]
mod follow;
mod grouped;
mod groups;
pub(crate) mod history;
mod inspect;
#[cfg(feature = "kafka")]
mod kafka_groups;
#[cfg(feature = "kafka")]
mod kafka_link;
#[cfg(feature = "kafka")]
mod lag;
#[cfg(all(feature = "nats", feature = "redis"))]
mod lag_streams;
mod lines;
mod logs;
#[cfg(feature = "kafka")]
mod manage;
#[cfg(feature = "mqtt")]
mod mqtt;
#[cfg(feature = "mqtt")]
mod mqtt_retained;
#[cfg(feature = "mqtt")]
mod mqtt_settle;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "nats")]
mod nats_core;
#[cfg(feature = "nats")]
mod nats_domains;
#[cfg(feature = "nats")]
mod nats_foreign;
#[cfg(feature = "nats")]
mod nats_peek;
#[cfg(feature = "nats")]
mod nats_plans;
mod offered;
mod prefer;
mod publish;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
#[cfg(feature = "rabbitmq")]
mod rabbitmq_access;
#[cfg(feature = "rabbitmq")]
mod rabbitmq_exact;
#[cfg(feature = "rabbitmq")]
mod rabbitmq_fates;
#[cfg(feature = "rabbitmq")]
mod rabbitmq_manage;
#[cfg(feature = "rabbitmq")]
mod rabbitmq_queues;
#[cfg(feature = "kafka")]
mod random_topics;
#[cfg(all(feature = "nats", feature = "redis"))]
mod receive_options;
mod receiving;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(feature = "redis")]
mod redis_access;
#[cfg(feature = "redis")]
mod redis_cost;
#[cfg(feature = "redis")]
mod redis_manage;
#[cfg(feature = "redis")]
mod redis_names;
#[cfg(all(feature = "kafka", feature = "nats", feature = "rabbitmq", feature = "redis"))]
mod seam;
mod tail;
mod times;
mod transact;
