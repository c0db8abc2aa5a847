//! What happens in a toolchain that cannot compile for the target: a real one, from which the target was taken out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const TARGET: &str = "wasm32-wasip1";

/// A copy of the toolchain in use, without the target, in a folder that may be rustup's.
struct Bare {
    _folder: TempDir,
    home: PathBuf,
    name: String,
}

impl Bare {
    fn new() -> Self {
        let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap().stdout;
        let sysroot = PathBuf::from(String::from_utf8(sysroot).unwrap().trim());
        let name = sysroot.file_name().unwrap().to_str().unwrap().to_owned();
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let home = folder.path().join("rustup");
        let toolchain = home.join("toolchains").join(&name);
        copy(&sysroot, &toolchain);
        let settings = sysroot.parent().and_then(Path::parent).unwrap().join("settings.toml");
        fs::copy(settings, home.join("settings.toml")).unwrap();
        let bare = Self { _folder: folder, home, name };
        let removed = bare.run("rustup", &["target", "remove", "--toolchain", &bare.name, TARGET], None);
        assert!(!toolchain.join("lib/rustlib").join(TARGET).exists(), "{removed}");
        bare
    }

    fn toolchain(&self) -> PathBuf {
        self.home.join("toolchains").join(&self.name)
    }

    /// What a program says that runs with this toolchain, and whether it succeeds.
    fn run(&self, program: &str, args: &[&str], path: Option<&Path>) -> String {
        let mut command = Command::new(program);
        // Where cargo has a compiler find the libraries of the toolchain that is in use.
        command.args(args).env_remove("RUSTC").env_remove("LD_LIBRARY_PATH").env("RUSTUP_AUTO_INSTALL", "0");
        command.env("RUSTUP_HOME", &self.home).env("RUSTUP_TOOLCHAIN", &self.name);
        if let Some(path) = path {
            command.env("PATH", path);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        format!("{said}[{}]", output.status)
    }

    fn ensure(&self, path: Option<&Path>) -> String {
        self.run(env!("CARGO_BIN_EXE_wasm-target"), &[TARGET], path)
    }
}

/// Links what is large where it can be linked, and copies what rustup writes into.
fn copy(from: &Path, to: &Path) {
    let copied = |options: &str, from: &Path, to: &Path| {
        let status = Command::new("cp").arg(options).arg(from).arg(to).output().unwrap().status;
        status.success()
    };
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let linked = copied("-al", from, to);
    if !linked {
        fs::remove_dir_all(to).ok();
        assert!(copied("-a", from, to), "{} cannot be copied", from.display());
    }
    for entry in fs::read_dir(to.join("lib/rustlib")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            fs::write(&path, text).unwrap();
        }
    }
}

#[test]
fn a_target_that_is_missing_is_added_though_rustup_may_not_install_by_itself() {
    let bare = Bare::new();
    let said = bare.ensure(None);
    let line = format!("adding the target {TARGET} to the toolchain {}, by rustup", bare.name);
    assert!(said.contains(&line) && said.ends_with("[exit status: 0]"), "{said}");
    assert!(bare.toolchain().join("lib/rustlib").join(TARGET).is_dir());
    // There it stays: the next one has nothing to say.
    assert_eq!(bare.ensure(None), "[exit status: 0]");
}

#[test]
fn where_it_cannot_be_added_one_line_says_what_to_type() {
    let bare = Bare::new();
    let without_rustup = bare.ensure(Some(&bare.toolchain().join("bin")));
    let type_this = format!("type: rustup target add --toolchain {} {TARGET}", bare.name);
    assert!(
        without_rustup.contains("cannot run rustup") && without_rustup.contains(&type_this),
        "{without_rustup}"
    );
    // A toolchain that rustup has not installed.
    let elsewhere = bare.home.join("elsewhere");
    fs::rename(bare.toolchain(), &elsewhere).unwrap();
    let custom = bare.ensure(Some(&elsewhere.join("bin")));
    assert!(custom.contains("a toolchain that is not rustup's"), "{custom}");
    for said in [without_rustup, custom] {
        assert!(said.ends_with("[exit status: 1]"), "{said}");
        assert_eq!(said.lines().filter(|line| line.contains("is missing")).count(), 1, "{said}");
    }
}
