//! What leaves the console: the clipboard, files, an editor. Always whole bytes, fetched again where a view was cut.

use super::lanes::Lanes;
use super::reading::fetch;
use crate::app::effect::Copy;
use crate::app::event::{Export, JobUpdate};
use crate::app::{Event, TaskId};
use crate::domain::address::Address;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure;
use crate::domain::message::Message;
use crate::domain::position::{Bound, Range};
use crate::domain::text::{SafeText, escape_json};
use crate::domain::view::MessageView;
use crate::gateway::Gateway;
use crate::gateway::filter::Filter;
use crate::gateway::find::Search;
use crate::wire::lines;
use bytes::Bytes;
use crossterm::clipboard::CopyToClipboard;
use crossterm::queue;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::process::Command;

/// Terminals cut longer clipboard sequences off or refuse them.
const CLIPBOARD: usize = 74_994;

/// Puts something into the terminal's clipboard (OSC 52: works over SSH). Says what it was.
pub(super) async fn copy(gateway: Option<&Gateway>, copy: Copy, terminal: bool) -> Result<SafeText, Fault> {
    let (text, name) = match copy {
        Copy::Text(text, name) => (text, name),
        Copy::Key(view) => (as_text(view.message.key.as_ref(), "key")?, "key"),
        Copy::Value(view) => (as_text(whole(gateway, &view).await?.payload.as_ref(), "value")?, "value"),
        Copy::Json(view) => {
            let decoder = gateway.map(|gateway| gateway.decoder(&view.address)).unwrap_or_default();
            (lines::write(&view.address, &whole(gateway, &view).await?, &decoder), "message as JSON")
        }
    };
    let text = escape_hidden(&text);
    if text.len() > CLIPBOARD {
        let cause =
            format!("{} is more than the {} that terminals take", figure::bytes(text.len() as u64), figure::bytes(CLIPBOARD as u64));
        return Err(Fault::new(Kind::Rejected, "copy", name, cause).next("export it to a file instead"));
    }
    // Without a terminal there is nobody to take it: what is written to standard output there belongs to the command.
    if terminal {
        to_clipboard(&text).map_err(|e| Fault::new(Kind::Rejected, "copy", name, e.to_string()))?;
    }
    Ok(format!("{name}, {}", figure::bytes(text.len() as u64)).into())
}

/// In one piece, so that it cannot fall into the middle of a frame.
fn to_clipboard(text: &str) -> io::Result<()> {
    let mut sequence = Vec::with_capacity(text.len() * 4 / 3 + 16);
    queue!(sequence, CopyToClipboard::to_clipboard_from(text))?;
    io::stdout().write_all(&sequence)?;
    io::stdout().flush()
}

/// Writes messages as lines of JSON, in the form of `mqdeck tail --json`, which `mqdeck publish --lines` reads back.
pub(super) async fn write(gateway: &Gateway, path: &str, messages: &[Arc<MessageView>]) -> Result<Export, Fault> {
    let failed = |e: io::Error| Fault::new(Kind::Rejected, "export", path, e.to_string());
    // It gets its name when it is whole: a part must not pass for all of it.
    let file = unnamed(path)?;
    let mut out = BufWriter::new(File::from_std(file.reopen().map_err(failed)?));
    let mut bytes = 0;
    for view in messages {
        let mut line = lines::write(&view.address, &whole(Some(gateway), view).await?, &gateway.decoder(&view.address));
        line.push('\n');
        bytes += line.len() as u64;
        out.write_all(line.as_bytes()).await.map_err(failed)?;
    }
    out.flush().await.map_err(failed)?;
    out.into_inner().sync_all().await.map_err(failed)?;
    name(file, path)?;
    Ok(Export { path: path.into(), messages: messages.len(), bytes })
}

/// A file beside the one that it is to become, readable by its owner alone; removed again unless it gets its name.
fn unnamed(path: &str) -> Result<NamedTempFile, Fault> {
    let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().prefix(".mqdeck-").suffix(".part").tempfile_in(folder);
    made.map_err(|e| Fault::new(Kind::Rejected, "export", path, e.to_string()))
}

/// An existing file is somebody's work: it is never overwritten.
fn name(file: NamedTempFile, path: &str) -> Result<(), Fault> {
    file.persist_noclobber(path).map(drop).map_err(|e| match e.error.kind() {
        io::ErrorKind::AlreadyExists => Fault::new(Kind::Rejected, "export", path, "this file exists").next("choose another name"),
        _ => Fault::new(Kind::Rejected, "export", path, e.error.to_string()),
    })
}

/// How often the progress of a long export is told.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Writes everything that a channel holds now, in the same form, and tells how it goes. The file appears when it is whole: a part of a
/// channel must not pass for all of it.
pub(super) async fn channel(gateway: &Gateway, lanes: &Lanes, task: TaskId, path: &str, address: &Address) {
    let title = SafeText::from(format!("export {address} to {path}"));
    let tell = |done, total, end| lanes.result(Event::Job { task, update: JobUpdate { title: title.clone(), done, total, end } });
    let end = write_channel(gateway, path, address, tell).await.map(|export| {
        format!("Exported {}, {}, to {}", figure::several(export.messages as u64, "message"), figure::bytes(export.bytes), export.path)
            .into()
    });
    tell(0, None, Some(end)).await;
}

async fn write_channel<T>(
    gateway: &Gateway,
    path: &str,
    address: &Address,
    tell: impl Fn(u64, Option<u64>, Option<Result<SafeText, Fault>>) -> T,
) -> Result<Export, Fault>
where
    T: Future<Output = ()>,
{
    let failed = |e: io::Error| Fault::new(Kind::Rejected, "export", path, e.to_string());
    let file = unnamed(path)?;
    let mut out = BufWriter::new(File::from_std(file.reopen().map_err(failed)?));
    let everything = Range { start: Bound::Earliest, end: Bound::Latest };
    let search = Search { range: everything, ..Search::new(vec![address.clone()], Filter::parse("")?) };
    let mut finding = gateway.find(search).await?;
    let (mut messages, mut bytes, mut told) = (0, 0, Instant::now());
    tell(0, Some(finding.report().at_most), None).await;
    while let Some(found) = finding.next().await {
        if let Some(fault) = found.faults.into_iter().next() {
            return Err(fault);
        }
        for (_, message) in &found.messages {
            let mut line = lines::write(address, message, &gateway.decoder(address));
            line.push('\n');
            out.write_all(line.as_bytes()).await.map_err(failed)?;
            bytes += line.len() as u64;
        }
        messages += found.messages.len();
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            tell(messages as u64, Some(finding.report().at_most), None).await;
        }
    }
    out.flush().await.map_err(failed)?;
    out.into_inner().sync_all().await.map_err(failed)?;
    name(file, path)?;
    Ok(Export { path: path.into(), messages, bytes })
}

/// Opens `$VISUAL` or `$EDITOR` on a copy of the bytes, without these environment variables, and returns what was saved. The terminal must
/// have been given up.
pub(super) async fn edit(bytes: &Bytes, extension: &str, withheld: &[String]) -> Result<Bytes, Fault> {
    let failed = |e: io::Error| Fault::new(Kind::Rejected, "edit", "", e.to_string());
    let editor = ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok()).unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let Some(program) = words.next() else {
        return Err(Fault::new(Kind::Usage, "edit", "", "$EDITOR is empty").next("set it to an editor, for example vim"));
    };
    // Readable by its owner alone, and removed at the end of this function.
    let file = tempfile::Builder::new().prefix("mqdeck-").suffix(&format!(".{extension}")).tempfile().map_err(failed)?;
    tokio::fs::write(file.path(), bytes).await.map_err(failed)?;
    let words: Vec<&str> = words.collect();
    let status = editor_command(program, &words, withheld).arg(file.path()).status().await;
    let status = status
        .map_err(|e| Fault::new(Kind::Rejected, "edit", program, e.to_string()).next("set $EDITOR to an editor that is installed"))?;
    if !status.success() {
        return Err(Fault::new(Kind::Rejected, "edit", program, format!("it ended with {status}: nothing was taken over")));
    }
    tokio::fs::read(file.path()).await.map(Bytes::from).map_err(failed)
}

/// An editor's command, without these environment variables.
pub(super) fn editor_command(program: &str, words: &[&str], withheld: &[String]) -> Command {
    let mut command = Command::new(program);
    for name in withheld {
        command.env_remove(name);
    }
    command.args(words);
    command
}

async fn whole(gateway: Option<&Gateway>, view: &MessageView) -> Result<Message, Fault> {
    match gateway {
        Some(gateway) if !view.whole => Ok(fetch(gateway, &view.address, view.message.position).await?.message),
        _ => Ok(view.message.clone()),
    }
}

fn as_text(bytes: Option<&Bytes>, what: &'static str) -> Result<String, Fault> {
    let bytes = bytes.ok_or_else(|| Fault::new(Kind::Rejected, "copy", what, "there is none"))?;
    std::str::from_utf8(bytes)
        .map(ToOwned::to_owned)
        .map_err(|_| Fault::new(Kind::Rejected, "copy", what, "it is not text").next("copy the message as JSON, or export it"))
}

/// A clipboard is pasted into shells: what cannot be seen is escaped, line breaks and tabs stay.
fn escape_hidden(text: &str) -> String {
    text.split('\t').map(escape_json).collect::<Vec<_>>().join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::memory::{Memory, Trouble};
    use crate::config::profile::Integration;
    use crate::domain::message::Outgoing;
    use crate::gateway::Access;

    fn system() -> (Memory, Gateway, Address) {
        let memory = Memory::with(Integration::new("jobs", "memory", Vec::new()));
        memory.create("log", 1);
        for payload in ["one", "two"] {
            memory.publish_now("log", Outgoing { payload: Some(payload.into()), ..Outgoing::default() });
        }
        let gateway = Gateway::over(Access::default(), &memory);
        (memory, gateway, Address::new("jobs", "log"))
    }

    fn files(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }

    #[tokio::test]
    async fn an_export_that_cannot_be_whole_leaves_no_file_and_a_whole_one_has_its_name() {
        let ((memory, gateway, _), folder) = (system(), tempfile::tempdir().expect("a folder"));
        let path = folder.path().join("log.jsonl").to_string_lossy().into_owned();
        let ingest = gateway.ingest("jobs").expect("the integration");
        let mut views: Vec<MessageView> = memory.stored("log").iter().map(|message| ingest.view(message)).collect();
        // Of the second only the beginning was kept: it is fetched again.
        views[1].whole = false;
        views[1].message.payload = Some("t".into());
        let views: Vec<Arc<MessageView>> = views.into_iter().map(Arc::new).collect();
        memory.fault(Trouble::Refuse(Fault::new(Kind::Forbidden, "read", "jobs/log", "the user may not read it")));
        let fault = write(&gateway, &path, &views).await.expect_err("the second cannot be fetched");
        assert!(fault.kind == Kind::Forbidden && files(folder.path()).is_empty(), "{fault}: {:?}", files(folder.path()));
        memory.heal();
        let export = write(&gateway, &path, &views).await.expect("whole");
        assert_eq!((export.messages, files(folder.path())), (2, vec!["log.jsonl".to_owned()]));
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(text.contains("\"one\"") && text.contains("\"two\""), "{text}");
        // Somebody's file stays as it is, and nothing is left beside it.
        let fault = write(&gateway, &path, &views).await.expect_err("the file exists");
        assert!(fault.cause.as_str().contains("exists") && files(folder.path()).len() == 1, "{fault}");
        assert_eq!(std::fs::read_to_string(&path).expect("text"), text);
    }

    #[tokio::test]
    async fn of_a_channel_that_cannot_be_read_to_its_end_no_file_is_left() {
        let ((memory, gateway, address), folder) = (system(), tempfile::tempdir().expect("a folder"));
        let path = folder.path().join("log.jsonl").to_string_lossy().into_owned();
        let export = async || write_channel(&gateway, &path, &address, |_, _, _| std::future::ready(())).await;
        assert_eq!(export().await.expect("whole").messages, 2);
        std::fs::remove_file(&path).expect("it has its name");
        memory.damage("log", 0, 1);
        let fault = export().await.expect_err("the second message is damaged");
        assert!(files(folder.path()).is_empty(), "{fault}: {:?}", files(folder.path()));
    }
}
