//! Describes the type of each configuration key in words, for users who write a configuration file.

use crate::Error;
use syn::{GenericArgument, Path, PathArguments, Type};

/// The types in the source code, and their descriptions.
const KINDS: [(&str, &str); 18] = [
    ("PathBuf", "string, a path"),
    ("String", "string"),
    ("BTreeMap", "table"),
    ("bool", "`true` or `false`"),
    ("u16", "integer from 0 to 65535"),
    ("u64", "integer, 0 or more"),
    ("usize", "integer, 0 or more"),
    ("Address", "string, an address"),
    ("Rule", "string, a rule"),
    ("Listen", "string, an IP address with a port, or `off`"),
    ("ShareProfile", "`swarm`, `always` or `never`"),
    ("SharedFolder", "string, a path; or a table with `path`, `include` and `exclude`"),
    ("Place", "string, an address of a bucket or a folder"),
    ("Limit", "string, a rate per second or `none`"),
    ("Hours", "string, hours of the day and a rate per second, `none` or `off`"),
    ("Period", "string, a time such as `7d`, or `off`"),
    ("Priority", "string, a pattern for files or a kind"),
    ("Metered", "`auto`, `yes` or `no`"),
];

/// Describes the type of a field.
pub(crate) fn describe(kind: &Type) -> Result<String, Error> {
    let Type::Path(kind) = kind else { return Err(Error::UnknownKind("not a path".to_owned())) };
    let (name, inner) = parts(&kind.path);
    match (name.as_str(), inner) {
        ("Option", Some(inner)) => describe(inner),
        ("Vec", Some(inner)) => Ok(format!("list; each element: {}", describe(inner)?)),
        _ => {
            let row = KINDS.iter().find(|(known, _)| *known == name);
            row.map(|(_, words)| (*words).to_owned()).ok_or(Error::UnknownKind(name))
        }
    }
}

/// Returns the last segment of the path of a type, and its first type argument: `Vec` and `u16` for `Vec<u16>`.
fn parts(path: &Path) -> (String, Option<&Type>) {
    let Some(last) = path.segments.last() else { return (String::new(), None) };
    let inner = match &last.arguments {
        PathArguments::AngleBracketed(arguments) => {
            arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(inner) => Some(inner),
                _ => None,
            })
        }
        _ => None,
    };
    (last.ident.to_string(), inner)
}
