//! The brokers that coordinate groups: found many at once, remembered, and followed when they move. Questions about groups are
//! put to each coordinator in as few requests as it understands.

use super::super::faults;
use super::api::Request;
use super::cluster::Cluster;
use super::find_coordinator::{self, Located};
use super::pool::Lane;
use crate::domain::fault::{Fault, Kind};
use futures::StreamExt;
use kafka_protocol::messages::FindCoordinatorRequest;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Groups in one request for their coordinators: some 50 ms of a broker's time.
const KEYS: usize = 1_000;
/// Requests under way at once where a broker answers for one group each.
const AT_ONCE: usize = 16;
/// The pauses between questions while a coordinator is loading or moving, and how long that is waited for: a broker that died is
/// replaced after some ten seconds, and a table of groups should not stand still for so long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(4);

/// `COORDINATOR_LOAD_IN_PROGRESS`, `COORDINATOR_NOT_AVAILABLE`, `NOT_COORDINATOR`.
fn is_moving(code: i16) -> bool {
    (14..=16).contains(&code)
}

/// What a broker says against one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: i16,
    /// Its own words.
    pub(crate) said: Option<String>,
}

/// What an answer says of one group; without a name it is the one that was asked for, in versions that ask for one.
pub(crate) type Verdict<S> = (Option<String>, Result<S, Refusal>);

/// A question that can be asked of many groups.
pub(crate) trait OfGroups: Sync {
    type Request: Request<Answer: 'static> + 'static;
    /// What is told of a group.
    type Said: Send;
    /// Groups in one request.
    const MOST: usize;

    fn request(&self, groups: &[&str]) -> Self::Request;

    fn read(&self, answer: <Self::Request as Request>::Answer) -> Vec<Verdict<Self::Said>>;
}

/// Why a group has no answer, and whether asking again may help.
struct Failed {
    fault: Fault,
    again: bool,
}

impl Cluster {
    /// Forgets where a group's coordinator is: a broker said that it has moved, or it does not answer.
    pub(crate) fn coordinator_moved(&self, group: &str) {
        self.remembered().forget(group);
    }

    /// Asks one group's coordinator, and follows it when it moves. `code` reads the error that an answer has for the group;
    /// what it says beyond a coordinator that has moved is for the caller.
    pub(crate) async fn call_coordinator<A: Request>(
        &self,
        lane: Lane,
        group: &str,
        request: &A,
        code: impl Fn(&A::Answer) -> i16 + Sync,
    ) -> Result<A::Answer, Fault> {
        let code = &code;
        let asked = insist(self.timeout(), 1, |_| async move {
            let answer = match self.locate(lane, &[group], vec![0]).await.pop() {
                Some((_, Ok(node))) => self.call(node, lane, request).await.map_err(Failed::from).and_then(|answer| {
                    let code = code(&answer);
                    if is_moving(code) { Err(refused(A::OP, group, &Refusal { code, said: None })) } else { Ok(answer) }
                }),
                Some((_, Err(failed))) => Err(failed),
                None => Err(left_out(FindCoordinatorRequest::OP, group).into()),
            };
            if answer.as_ref().is_err_and(|failed| failed.again) {
                self.coordinator_moved(group);
            }
            vec![(0, answer)]
        });
        asked.await.pop().flatten().unwrap_or_else(|| Err(left_out(A::OP, group)))
    }

    /// Asks the coordinators of these groups (no name twice), each in as few requests as it understands; the answers in the order
    /// of the groups. Coordinators that move are followed for some seconds. A group that fails has its own fault.
    ///
    /// On a cluster that never had a group, the question makes Kafka create its topic of offsets.
    pub(crate) async fn ask_coordinators<Q: OfGroups>(&self, lane: Lane, groups: &[&str], question: &Q) -> Vec<Result<Q::Said, Fault>> {
        let asked = insist(self.timeout(), groups.len(), |open| async move {
            let mut answers = Vec::with_capacity(open.len());
            let mut by_node: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
            for (at, located) in self.locate(lane, groups, open).await {
                match located {
                    Ok(node) => by_node.entry(node).or_default().push(at),
                    Err(failed) => answers.push((at, Err(failed))),
                }
            }
            let nodes = by_node.iter().flat_map(|(node, at)| at.chunks(Q::MOST).map(|chunk| (*node, chunk)));
            let asked = nodes.map(|(node, chunk)| self.ask_coordinator(lane, node, groups, chunk, question));
            answers.extend(futures::future::join_all(asked).await.into_iter().flatten());
            for (at, answer) in &answers {
                if answer.as_ref().is_err_and(|failed| failed.again) {
                    self.coordinator_moved(groups[*at]);
                }
            }
            answers
        });
        let named = asked.await.into_iter().zip(groups);
        named.map(|(answer, group)| answer.unwrap_or_else(|| Err(left_out(Q::Request::OP, group)))).collect()
    }

    /// Where these groups' coordinators are: what is remembered, and one question for the rest.
    async fn locate(&self, lane: Lane, groups: &[&str], open: Vec<usize>) -> Vec<(usize, Result<i32, Failed>)> {
        let mut located = Vec::with_capacity(open.len());
        let mut unknown = Vec::new();
        for at in open {
            match self.remembered().of(groups[at]) {
                Some(node) => located.push((at, Ok(node))),
                None => unknown.push(at),
            }
        }
        let chunks = unknown.chunks(KEYS).map(|chunk| self.find(lane, groups, chunk));
        located.extend(futures::future::join_all(chunks).await.into_iter().flatten());
        for (at, answer) in &located {
            if let Ok(node) = answer {
                self.remembered().learn(groups[*at], *node);
            }
        }
        located
    }

    async fn find(&self, lane: Lane, groups: &[&str], chunk: &[usize]) -> Vec<(usize, Result<i32, Failed>)> {
        let verdict = |located: Located| {
            let refusal = Refusal { code: located.error, said: located.said };
            (located.group.map(|group| group.to_string()), if refusal.code == 0 { Ok(located.node) } else { Err(refusal) })
        };
        let ask = |part: Vec<usize>| async move {
            let request = find_coordinator::request(part.iter().map(|at| groups[*at]));
            let answer = self.call_any_on(lane, &request).await;
            answer.map(|answer| answer.into_iter().map(verdict).collect())
        };
        one_or_all(FindCoordinatorRequest::OP, groups, chunk, ask).await
    }

    async fn ask_coordinator<Q: OfGroups>(
        &self,
        lane: Lane,
        node: i32,
        groups: &[&str],
        chunk: &[usize],
        question: &Q,
    ) -> Vec<(usize, Result<Q::Said, Failed>)> {
        let ask = |part: Vec<usize>| async move {
            let names: Vec<&str> = part.iter().map(|at| groups[*at]).collect();
            self.call_apart(node, lane, question.request(&names)).await.map(|answer| question.read(answer))
        };
        one_or_all(Q::Request::OP, groups, chunk, ask).await
    }
}

/// Asks for all groups of a chunk at once, and for one after the other where the broker turns out to answer for the first alone.
async fn one_or_all<S, Asked>(
    op: &'static str,
    groups: &[&str],
    chunk: &[usize],
    ask: impl Fn(Vec<usize>) -> Asked,
) -> Vec<(usize, Result<S, Failed>)>
where
    Asked: Future<Output = Result<Vec<Verdict<S>>, Fault>>,
{
    let all = match ask(chunk.to_vec()).await {
        Ok(verdicts) => verdicts,
        Err(fault) => return chunk.iter().map(|at| (*at, Err(Failed::from(fault.clone())))).collect(),
    };
    let alone = matches!(all.as_slice(), [(None, _)]);
    let places: HashMap<&str, usize> = chunk.iter().map(|at| (groups[*at], *at)).collect();
    let first = chunk.first().copied();
    let mut answers: Vec<_> = all
        .into_iter()
        .filter_map(|(name, said)| {
            let at = name.map_or(first, |name| places.get(&*name).copied())?;
            Some((at, said.map_err(|refusal| refused(op, groups[at], &refusal))))
        })
        .collect();
    if alone {
        let rest = chunk.iter().copied().skip(1).map(|at| {
            let asked = ask(vec![at]);
            async move {
                let said = match asked.await {
                    Ok(mut verdicts) => verdicts.pop().map(|(_, said)| said.map_err(|refusal| refused(op, groups[at], &refusal))),
                    Err(fault) => Some(Err(fault.into())),
                };
                said.map(|said| (at, said))
            }
        });
        let rest: Vec<_> = futures::stream::iter(rest).buffer_unordered(AT_ONCE).collect().await;
        answers.extend(rest.into_iter().flatten());
    }
    answers
}

/// Asks for what is open until everything is answered for good, or patience is at its end.
async fn insist<T, Asked>(timeout: Duration, count: usize, ask: impl Fn(Vec<usize>) -> Asked) -> Vec<Option<Result<T, Fault>>>
where
    Asked: Future<Output = Vec<(usize, Result<T, Failed>)>>,
{
    let mut answers: Vec<Option<Result<T, Fault>>> = (0..count).map(|_| None).collect();
    let until = Instant::now() + timeout.min(PATIENCE);
    let mut pause = FIRST_PAUSE;
    loop {
        let open: Vec<usize> = answers.iter().enumerate().filter(|(_, answer)| answer.is_none()).map(|(at, _)| at).collect();
        if open.is_empty() {
            return answers;
        }
        let mut wait = false;
        let asked = ask(open).await;
        let last = Instant::now() + pause > until;
        for (at, answer) in asked {
            match answer {
                Err(failed) if failed.again && !last => wait = true,
                answer => answers[at] = Some(answer.map_err(|failed| failed.fault)),
            }
        }
        if !wait {
            return answers;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self { again: fault.kind.is_transient(), fault }
    }
}

fn refused(op: &'static str, group: &str, refusal: &Refusal) -> Failed {
    let fault = faults::refused(op, group, refusal.code, refusal.said.as_deref());
    Failed { fault, again: is_moving(refusal.code) }
}

fn left_out(op: &'static str, group: &str) -> Fault {
    Fault::new(Kind::Protocol, op, group, "the broker's answer left the group out")
}

#[cfg(test)]
mod tests {
    use super::super::fake::{self, Does, FakeBroker};
    use super::super::group_offsets::Commits;
    use super::*;
    use crate::adapters::wirelog::WireLog;
    use crate::config::profile::Integration;
    use bytes::{BufMut, Bytes, BytesMut};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Kafka 2.0: one group a request for `FindCoordinator` (10) and `OffsetFetch` (9).
    const OLD: &[(i16, i16, i16)] = &[(18, 0, 2), (3, 0, 6), (10, 0, 2), (9, 0, 4)];

    fn coordinator(error: i16) -> Bytes {
        let mut body = BytesMut::new();
        body.put_i32(0);
        body.put_i16(error);
        body.put_i16(-1);
        body.put_i32(1);
        body.put_i16(0);
        body.put_i32(9092);
        body.freeze()
    }

    /// One topic with one partition, committed at 17.
    fn position(error: i16) -> Bytes {
        let mut body = BytesMut::new();
        body.put_i32(0);
        body.put_i32(1);
        body.put_i16(6);
        body.put_slice(b"orders");
        body.put_i32(1);
        body.put_i32(0);
        body.put_i64(17);
        body.put_i16(0);
        body.put_i16(0);
        body.put_i16(error);
        body.freeze()
    }

    struct Fixture {
        cluster: Cluster,
        asked: Arc<[AtomicUsize; 2]>,
        _broker: FakeBroker,
    }

    /// A cluster of one old broker; these are the codes of its first answers to either request, 0 afterwards.
    async fn fixture(finding: &'static [i16], fetching: &'static [i16]) -> Fixture {
        let asked: Arc<[AtomicUsize; 2]> = Arc::default();
        let counts = Arc::clone(&asked);
        // The broker is known to itself by the address under which it was reached.
        let port = Arc::new(AtomicUsize::new(0));
        let own = Arc::clone(&port);
        let code = move |which: usize, codes: &[i16]| codes.get(counts[which].fetch_add(1, Ordering::SeqCst)).copied().unwrap_or(0);
        let broker = FakeBroker::start(move |request| match (request.key, request.version) {
            (18, 3..) => Does::Answer([0, 35].as_slice().into()),
            (18, _) => Does::Answer(fake::offers(OLD)),
            (10, 2) => Does::Answer(coordinator(code(0, finding))),
            (9, 4) => Does::Answer(position(code(1, fetching))),
            (3, _) => {
                let port = u16::try_from(own.load(Ordering::SeqCst)).expect("a port");
                Does::Answer(fake::metadata(1, &super::super::connection::HostPort { host: "127.0.0.1".into(), port }, 0))
            }
            _ => Does::HangUp,
        })
        .await;
        port.store(broker.address.port.into(), Ordering::SeqCst);
        let integration = Integration::new("events", "kafka", vec![broker.address.to_string()]);
        let cluster = Cluster::connect(&integration, WireLog::default()).await.expect("connects");
        Fixture { cluster, asked, _broker: broker }
    }

    impl Fixture {
        fn asked(&self) -> [usize; 2] {
            [0, 1].map(|which| self.asked[which].load(Ordering::SeqCst))
        }
    }

    #[tokio::test]
    async fn an_old_broker_is_asked_group_by_group_and_remembered() {
        let fixture = fixture(&[], &[]).await;
        let groups = ["a", "b", "c"];
        for round in [1, 2] {
            let told = fixture.cluster.ask_coordinators(Lane::Control, &groups, &Commits { of: None }).await;
            for positions in told {
                let positions = positions.expect("told");
                assert_eq!((positions[0].0.as_str(), positions[0].1[0].offset), ("orders", Some(17)));
            }
            assert_eq!(fixture.asked(), [3, 3 * round], "coordinators are asked for once");
        }
    }

    #[tokio::test]
    async fn coordinators_that_load_or_move_are_waited_for_and_found_anew() {
        // Not available, then loading; then the one that was found is not the one any more.
        let fixture = fixture(&[15, 14], &[16]).await;
        let told = fixture.cluster.ask_coordinators(Lane::Control, &["a"], &Commits { of: None }).await;
        assert!(told[0].is_ok(), "{told:?}");
        assert_eq!(fixture.asked(), [4, 2]);
    }

    #[tokio::test]
    async fn a_refused_group_is_refused_at_once_and_alone() {
        let fixture = fixture(&[0, 30], &[]).await;
        let told = fixture.cluster.ask_coordinators(Lane::Control, &["a", "b"], &Commits { of: None }).await;
        assert!(told[0].is_ok(), "{told:?}");
        assert_eq!(told[1].as_ref().expect_err("forbidden").kind, Kind::Forbidden);
        assert_eq!(fixture.asked(), [2, 1]);
    }

    #[tokio::test]
    async fn one_group_s_coordinator_is_followed() {
        let fixture = fixture(&[15], &[16]).await;
        let request = Commits { of: None }.request(&["a"]);
        let code =
            |answer: &Vec<Verdict<super::super::group_offsets::Positions>>| answer[0].1.as_ref().err().map_or(0, |refusal| refusal.code);
        let answer = fixture.cluster.call_coordinator(Lane::Control, "a", &request, code).await;
        assert!(answer.is_ok(), "{answer:?}");
        assert_eq!(fixture.asked(), [3, 2]);
    }
}
