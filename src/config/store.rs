//! Where profiles live: a path, or a name in `MQDECK_CONFIG_DIR`, else the platform's configuration directory.

use super::load::{self, Context, Loaded};
use super::source::{Note, Problems};
use crate::domain::fault::{Fault, Kind};
use crate::domain::{redact, suggest};
use directories::ProjectDirs;
use std::path::{Path, PathBuf};

/// The folder of profiles.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// One profile of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub path: PathBuf,
}

const OP: &str = "find profile";

impl Store {
    /// A store in this folder, which need not exist.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// `profiles` in `MQDECK_CONFIG_DIR`, else in the platform's configuration directory (`~/.config/mqdeck` on Linux).
    ///
    /// # Errors
    /// Neither is known: there is no home directory.
    pub fn open(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Fault> {
        let own = env("MQDECK_CONFIG_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let folder = own.or_else(|| ProjectDirs::from("", "", "mqdeck").map(|dirs| dirs.config_dir().to_path_buf()));
        let folder = folder.ok_or_else(|| {
            Fault::new(Kind::NotFound, OP, "", "there is no home directory").next("set MQDECK_CONFIG_DIR, or give --profile a path")
        })?;
        Ok(Self::at(folder.join("profiles")))
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every profile of the folder by name; nothing if there is no folder.
    pub fn list(&self) -> Vec<Entry> {
        let files = std::fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|file| file.path());
        let mut entries: Vec<Entry> = files
            .filter(|path| path.extension().is_some_and(|extension| extension == "hcl") && path.is_file())
            .filter_map(|path| Some(Entry { name: path.file_stem()?.to_str()?.to_owned(), path }))
            .collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries
    }

    /// The file that `--profile` or `MQDECK_PROFILE` means: a path if it looks like one, else a name in the folder.
    ///
    /// # Errors
    /// There is none of that name; the nearest one is suggested.
    pub fn find(&self, given: &str) -> Result<PathBuf, Fault> {
        if given.contains("://") {
            let fault = Fault::new(Kind::Usage, OP, redact::log_ins(given).as_ref(), "this is a URL, and not the name of a profile");
            return Err(fault.next("give it with --url"));
        }
        let path = Path::new(given);
        let looks_like_path = given.contains('/')
            || path.components().count() > 1
            || path.is_absolute()
            || path.extension().is_some_and(|extension| extension == "hcl");
        if looks_like_path {
            return Ok(path.to_path_buf());
        }
        let entries = self.list();
        if let Some(entry) = entries.iter().find(|entry| entry.name == given) {
            return Ok(entry.path.clone());
        }
        let beside = PathBuf::from(format!("{given}.hcl"));
        let near = if beside.is_file() { format!("did you mean ./{}?", beside.display()) } else { String::new() };
        let near = if near.is_empty() { suggest::hint(given, entries.iter().map(|entry| entry.name.as_str())) } else { near };
        let next = if near.is_empty() {
            "mqdeck profile ls shows the profiles there are; a path has a / or ends in .hcl".to_owned()
        } else {
            near
        };
        let cause = format!("there is no profile of this name in {}", self.folder.display());
        Err(Fault::new(Kind::Usage, OP, given, cause).next(next))
    }
}

/// Reads a profile's file and adds a note where others may read the secrets that stand in it.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn load(path: &Path, context: Context<'_>) -> Result<Loaded, Problems> {
    let mut loaded = load::load(path, context)?;
    if loaded.holds_secret && readable_by_others(path) {
        let text =
            format!("others on this machine can read the secret in this file: chmod 600 {}, or take it from ${{env.NAME}}", path.display());
        loaded.notes.insert(0, Note { line: 1, text: text.into() });
    }
    Ok(loaded)
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn readable_by_others(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::super::load::System;
    use super::*;

    const SYSTEMS: &[System] = &[System::named("kafka", &[("kafka", 9092)])];

    fn context() -> Context<'static> {
        Context { systems: SYSTEMS, env: &|name| (name == "SECRET").then(|| "s".to_owned()), vars: &[] }
    }

    fn profile(password: &str) -> String {
        format!(
            "integration \"a\" {{\n  type = \"kafka\"\n  endpoint {{\n    address = \"one\"\n  }}\n  auth {{\n    type = \"basic\"\n    username = \"u\"\n    \
             password = {password}\n  }}\n}}\n"
        )
    }

    #[test]
    fn profiles_are_found_by_name_and_by_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = folder.path().to_str().expect("a name").to_owned();
        let store = Store::open(&|name| (name == "MQDECK_CONFIG_DIR").then(|| own.clone())).expect("a store");
        assert_eq!(store.list(), []);
        std::fs::create_dir(store.folder()).expect("a folder");
        for name in ["prod-eu.hcl", "dev.hcl", "notes.txt"] {
            std::fs::write(store.folder().join(name), "").expect("a file");
        }
        assert_eq!(store.list().iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["dev", "prod-eu"]);
        assert_eq!(store.find("dev"), Ok(store.folder().join("dev.hcl")));
        assert_eq!(store.find("./dev"), Ok("./dev".into()));
        assert_eq!(store.find("dev.hcl"), Ok("dev.hcl".into()));
        let fault = store.find("prod-ue").expect_err("no such profile");
        assert_eq!((fault.kind, fault.next.as_str()), (Kind::Usage, "did you mean `prod-eu`?"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_one_problem() {
        let folder = tempfile::tempdir().expect("a folder");
        let told = |path: &Path| load(path, context()).expect_err("a problem").0.remove(0);
        assert!(told(&folder.path().join("none.hcl")).message.as_str().starts_with("the profile cannot be read: "));
        let binary = folder.path().join("binary.hcl");
        std::fs::write(&binary, b"# one\n# two \xff").expect("a file");
        let problem = told(&binary);
        assert_eq!((problem.line, problem.column, problem.message.as_str()), (2, 7, "this is not UTF-8"));
        let large = folder.path().join("large.hcl");
        std::fs::write(&large, "#".repeat(2 << 20)).expect("a file");
        assert_eq!(told(&large).message.as_str(), "the file is larger than 1 MiB");
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_that_others_can_read_is_noted() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("p.hcl");
        for (password, mode, noted) in
            [("\"s\"", 0o644, true), ("\"s\"", 0o640, true), ("\"s\"", 0o600, false), ("env.SECRET", 0o644, false)]
        {
            std::fs::write(&path, profile(password)).expect("a file");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
            let loaded = load(&path, context()).expect("a profile");
            assert_eq!(loaded.notes.iter().any(|note| note.text.as_str().contains("chmod 600")), noted, "{password} {mode:o}");
            assert_eq!(loaded.profile.path.as_deref(), Some(&*path));
        }
    }
}
