//! Who may do what with a topic, as the cluster's own access rules say it.

use super::super::faults;
use super::api::{CheckedRequest, counted};
use super::cluster::Cluster;
use super::shape::{Of, Shape, always};
use crate::domain::fault::Fault;
use kafka_protocol::messages::{ApiKey, DescribeAclsRequest, DescribeAclsResponse};
use kafka_protocol::protocol::StrBytes;

/// One rule that holds for a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rule {
    pub(crate) principal: String,
    pub(crate) operation: &'static str,
    pub(crate) allows: bool,
    pub(crate) host: String,
    /// The name or prefix that it was made for.
    pub(crate) of: String,
}

/// `ResourceType.TOPIC`, `PatternType.MATCH` (every pattern that the name matches) and `ANY`.
const TOPIC: i8 = 2;
const MATCH: i8 = 2;
const ANY: i8 = 1;
/// `PatternType.PREFIXED`, `AclPermissionType.ALLOW`.
const PREFIXED: i8 = 4;
const ALLOW: i8 = 3;

impl CheckedRequest for DescribeAclsRequest {
    const KEY: ApiKey = ApiKey::DescribeAcls;
    const OP: &'static str = "read the access rules of";
    type Response = DescribeAclsResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const ABOUT_ANSWER: fn(&Self::Response) -> String =
        |answer| counted(answer.resources.iter().map(|resource| resource.acls.len()).sum(), "rule");
    const SHAPE: Shape = {
        const ACL: Of = Of::Structs(&[always(Of::Text), always(Of::Text), always(Of::Fixed(2))]);
        const RESOURCE: Of = Of::Structs(&[always(Of::Fixed(1)), always(Of::Text), always(Of::Fixed(1)), always(ACL)]);
        Shape { flexible: 2, fields: &[always(Of::Fixed(4 + 2)), always(Of::Text), always(RESOURCE)] }
    };
}

impl Cluster {
    /// Every rule that holds for a topic: its own, those of a prefix of its name, and those for all. Needs Describe on the cluster.
    pub(crate) async fn rules(&self, topic: &str) -> Result<Vec<Rule>, Fault> {
        let request = DescribeAclsRequest::default()
            .with_resource_type_filter(TOPIC)
            .with_resource_name_filter(Some(StrBytes::from_string(topic.to_owned())))
            .with_pattern_type_filter(MATCH)
            .with_principal_filter(None)
            .with_host_filter(None)
            .with_operation(ANY)
            .with_permission_type(ANY);
        let answer = self.call_any(&request).await?;
        if answer.error_code != 0 {
            return Err(faults::refused(DescribeAclsRequest::OP, topic, answer.error_code, answer.error_message.as_deref()));
        }
        let rules = answer.resources.iter().flat_map(|resource| {
            let of = if resource.pattern_type == PREFIXED {
                format!("{}…", resource.resource_name)
            } else {
                resource.resource_name.to_string()
            };
            resource.acls.iter().map(move |acl| Rule {
                principal: acl.principal.to_string(),
                operation: operation(acl.operation),
                allows: acl.permission_type == ALLOW,
                host: acl.host.to_string(),
                of: of.clone(),
            })
        });
        let mut rules: Vec<_> = rules.collect();
        rules.sort();
        Ok(rules)
    }
}

/// `AclOperation` by its code.
fn operation(code: i8) -> &'static str {
    const NAMES: [&str; 16] = [
        "unknown",
        "any",
        "All",
        "Read",
        "Write",
        "Create",
        "Delete",
        "Alter",
        "Describe",
        "ClusterAction",
        "DescribeConfigs",
        "AlterConfigs",
        "IdempotentWrite",
        "CreateTokens",
        "DescribeTokens",
        "TwoPhaseCommit",
    ];
    usize::try_from(code).ok().and_then(|code| NAMES.get(code)).copied().unwrap_or("unknown")
}
