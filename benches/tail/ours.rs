//! The console without its screen: the gateway's live window, taken from as the console's loop takes it.

use super::run::Count;
use mqdeck::gateway::Gateway;
use mqdeck::gateway::filter::Filter;
use mqdeck::gateway::live::{self, Note, Update};
use mqdeck::runtime::Opener;
use tokio::sync::mpsc;
use tokio::time::timeout;

pub(super) fn console(url: &str, channel: &str, messages: u64) {
    // As in the program's own main.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let profile = Opener::default().url(url).expect("a profile");
        let address = format!("{}/{channel}", profile.integrations[0].name).parse().expect("an address");
        let gateway = Gateway::open(profile, true);
        let (sender, mut updates) = mpsc::channel(1);
        let (addresses, all) = ([address], Filter::parse("").expect("a query"));
        let tail = live::tail(&gateway, &addresses, all, sender, |update: Update| update).await;
        let tail = tail.unwrap_or_else(|fault| panic!("{fault}"));
        tokio::spawn(tail);
        let (mut count, mut seen) = (Count::default(), 0);
        loop {
            let update = timeout(count.patience(), updates.recv()).await;
            let silent = update.is_err();
            if let Ok(Some(update)) = update {
                if update.counts.seen > seen {
                    count.came(update.counts.seen - seen);
                    seen = update.counts.seen;
                }
                for note in update.notes {
                    match note {
                        Note::Interrupted { fault, .. } => panic!("{fault}"),
                        Note::Resumed { lost, .. } | Note::Skipped { count: lost, .. } => count.lost(lost),
                        Note::Waits { .. } => {}
                    }
                }
            }
            if count.is_over(silent, messages) {
                return;
            }
        }
    });
}
