//! stub
use crate::config::profile::{Integration, Profile};
use crate::domain::address::Address;
use crate::domain::fault::Fault;
pub struct Demo;
impl Demo {
    pub async fn start() -> Result<Self, Fault> {
        Ok(Self)
    }
    pub fn profile(&self) -> Profile {
        Profile { name: "demo".into(), path: None, read_only: false, integrations: vec![Integration::new("events", "kafka", vec![])] }
    }
    pub fn show(&self) -> Address {
        Address::new("events", "grey.events")
    }
}
