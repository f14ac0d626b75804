//! The C library's header, made of its code and comments.

use std::fs;
use std::path::{Path, PathBuf};

use cbindgen::{Builder, Config, DocumentationStyle, ItemType, Language, RenameRule, Style};

use crate::context::Context;

const INTRODUCTION: &str = "\
/*
 * fencekit: fencing for high-availability clusters.
 *
 * A false \"it is off\" destroys data, a false \"it is on\" only delays a failover: FENCEKIT_RESULT_OK is the only success,
 * and nothing else says that anything is off.
 *
 * Conventions (docs/c-api.md explains them):
 *  - Pointers must be valid, and may be NULL only where a comment says so; a NULL elsewhere gets a result.
 *  - Texts are UTF-8 and end with a NUL. Those that a function returns belong to the handle that they come from.
 *  - Results are written with FENCEKIT_RESULT_OK alone, unless a comment says otherwise. `error` may be NULL; else a failed
 *    call writes an error there, to be freed with fencekit_error_free, and one that succeeds leaves it as it is.
 *  - `timeout_ms` is the limit of the whole call, in milliseconds. 0 leaves no time for anything; more than a day counts
 *    as a day.
 *  - Every call ends on the thread that made it. fencekit starts no threads, but for the lookup of a host name
 *    and for reading a password file or the output of a program that prints a password.
 *  - A handle that was freed, or is of another type, gets FENCEKIT_RESULT_INVALID_HANDLE.
 *
 * Made by `cargo xtask header`. Do not edit.
 */";

/// Writes the header. True when that went well.
pub(crate) fn write(context: &mut Context) -> bool {
    let path = path(&context.workspace);
    let written = render(&context.workspace)
        .and_then(|text| fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display())));
    match written {
        Ok(()) => {
            println!("{} is written.", path.display());
            true
        }
        Err(error) => {
            eprintln!("xtask: {error}");
            false
        }
    }
}

/// Where the header lies.
pub(crate) fn path(workspace: &Path) -> PathBuf {
    workspace.join("include/fencekit.h")
}

/// The header that the code asks for.
pub(crate) fn render(workspace: &Path) -> Result<String, String> {
    let source = workspace.join("fencekit-ffi/src");
    let mut config = Config {
        language: Language::C,
        header: Some(INTRODUCTION.to_owned()),
        include_guard: Some("FENCEKIT_H".to_owned()),
        after_includes: Some(version_macros(env!("CARGO_PKG_VERSION"))),
        no_includes: true,
        sys_includes: ["stdbool.h", "stddef.h", "stdint.h"].map(str::to_owned).to_vec(),
        cpp_compat: true,
        style: Style::Type,
        usize_is_size_t: true,
        documentation_style: DocumentationStyle::Doxy,
        line_length: 110,
        ..Config::default()
    };
    config.enumeration.rename_variants = RenameRule::QualifiedScreamingSnakeCase;
    config.export.item_types = vec![
        ItemType::Enums,
        ItemType::Structs,
        ItemType::OpaqueItems,
        ItemType::Typedefs,
        ItemType::Functions,
    ];
    // No function has it in its signature: a number that comes in may be any.
    config.export.include = vec!["fencekit_log_level".to_owned()];
    config.defines.insert(
        "feature = panic-test".to_owned(),
        "FENCEKIT_PANIC_TEST".to_owned(),
    );
    let mut builder = Builder::new().with_config(config);
    // In the order in which a reader meets them.
    for file in ORDER {
        builder = builder.with_src(source.join(format!("{file}.rs")));
    }
    let bindings = builder.generate().map_err(|error| format!("cbindgen: {error}"))?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    let text = String::from_utf8(text).map_err(|error| format!("cbindgen: {error}"))?;
    Ok(with_bare_pointers(&text))
}

/// The types of the arguments in `boundary.rs`, which are bare pointers to C; cbindgen makes a typedef of each.
const POINTERS: [&str; 4] = ["Text", "ErrorPlace", "Array_", "Place_"];

/// Writes the pointers themselves in the places of their typedefs.
fn with_bare_pointers(header: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut pointers: Vec<(&str, &str)> = Vec::new();
    for line in header.lines() {
        match pointer_typedef(line) {
            Some(typedef) => {
                pointers.push(typedef);
                // Its comment goes with it.
                while kept.pop().is_some_and(|line| line != "/**") {}
            }
            None => kept.push(line),
        }
    }
    let mut text = kept.join("\n") + "\n";
    while text.contains("\n\n\n") {
        text = text.replace("\n\n\n", "\n\n");
    }
    // Longer names first, so that none is taken for another's beginning.
    pointers.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for (name, pointer) in pointers {
        text = text.replace(&format!("{name} "), pointer);
    }
    text
}

/// Name and pointer in `typedef const char *Text;`.
fn pointer_typedef(line: &str) -> Option<(&str, &str)> {
    let inner = line.strip_prefix("typedef ")?.strip_suffix(';')?;
    let end = inner.rfind('*')? + 1;
    let (pointer, name) = inner.split_at_checked(end)?;
    let is_ours = POINTERS.iter().any(|ours| match ours.strip_suffix('_') {
        Some(_) => name.starts_with(ours),
        None => name == *ours,
    });
    is_ours.then_some((name, pointer))
}

/// The files with something for C.
const ORDER: &[&str] = &[
    "result", "failure", "version", "logging", "power", "boundary", "device", "outlets", "identity",
    "cluster", "report", "statuses", "generate", "doctor",
];

/// From the version of the packages, so that they cannot drift.
fn version_macros(version: &str) -> String {
    let mut parts = version
        .split(['.', '-', '+'])
        .map(|part| part.parse().unwrap_or(0_u32));
    let mut next = || parts.next().unwrap_or(0);
    let (major, minor, patch) = (next(), next(), next());
    let number = major * 1_000_000 + minor * 1000 + patch;
    format!(
        "\n/* The version of this header; fencekit_version() is that of the library that runs. */\n\
         #define FENCEKIT_VERSION \"{version}\"\n\
         #define FENCEKIT_VERSION_MAJOR {major}\n\
         #define FENCEKIT_VERSION_MINOR {minor}\n\
         #define FENCEKIT_VERSION_PATCH {patch}\n\
         #define FENCEKIT_VERSION_NUMBER {number}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    #[test]
    fn the_committed_header_is_that_of_the_code() {
        let committed = fs::read_to_string(path(workspace())).unwrap();
        let now = render(workspace()).unwrap();
        assert!(
            committed == now,
            "include/fencekit.h is not that of the code; `cargo xtask header` writes it anew"
        );
    }

    #[test]
    fn no_file_with_something_for_c_is_forgotten() {
        for file in fs::read_dir(workspace().join("fencekit-ffi/src"))
            .unwrap()
            .flatten()
        {
            let path = file.path();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let text = fs::read_to_string(&path).unwrap();
            if text.contains("#[unsafe(no_mangle)]") {
                assert!(ORDER.contains(&stem), "{stem}.rs is not in ORDER");
            }
        }
    }

    #[test]
    fn typedefs_of_pointers_are_written_out() {
        let header = "a;\n\n/**\n * A text.\n */\ntypedef const char *Text;\n\n/**\n * A place.\n */\n\
                      typedef fencekit_x **Place_____x;\n\ntypedef int (*callback)(int);\n\nint f(Text t, Place_____x x);\n";
        assert_eq!(
            with_bare_pointers(header),
            "a;\n\ntypedef int (*callback)(int);\n\nint f(const char *t, fencekit_x **x);\n"
        );
        let header = render(workspace()).unwrap();
        let mut words = header.split(|c: char| !c.is_alphanumeric() && c != '_');
        let left = words
            .find(|word| POINTERS.contains(word) || word.starts_with("Place_") || word.starts_with("Array_"));
        assert_eq!(left, None);
    }

    #[test]
    fn macros_follow_the_version() {
        let macros = version_macros("1.2.3-rc.1");
        assert!(macros.contains("FENCEKIT_VERSION \"1.2.3-rc.1\""));
        assert!(macros.contains("FENCEKIT_VERSION_NUMBER 1002003"));
    }
}
