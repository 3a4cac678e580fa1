//! Reads the structs that define the configuration from the source code. The result contains the doc comment of each
//! struct, and the doc comment and type of each field.

use crate::{Error, kinds};
use std::path::{Path, PathBuf};
use syn::{Attribute, Expr, ExprLit, Fields, Item, ItemStruct, Lit, Meta};

/// A struct of configuration keys, with its doc comments.
#[derive(Debug)]
pub(crate) struct Documented {
    /// Paragraphs of the doc comment of the struct, as Markdown.
    pub(crate) text: String,
    /// The fields, in the order of the source code.
    pub(crate) fields: Vec<Field>,
}

/// A documented field, which is a key of the configuration.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// Paragraphs of the comment, as Markdown.
    pub(crate) text: String,
    /// Description of the type.
    pub(crate) kind: String,
}

/// Returns the root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Reads the struct with this Rust path, such as `logs::shell::Settings`.
pub(crate) fn read(path: &str) -> Result<Documented, Error> {
    let (module, name) = path.rsplit_once("::").unwrap_or(("", path));
    let path = file_of(module);
    let io = |source| Error::Io { path: path.clone(), source };
    let text = std::fs::read_to_string(&path).map_err(io)?;
    parse(&text, path, name)
}

/// Returns the source file of a module, such as `dt_swarm::config::file`.
fn file_of(module: &str) -> PathBuf {
    let (package, inner) = module.split_once("::").unwrap_or((module, "lib"));
    let folder = root().join("crates").join(package.replace('_', "-")).join("src");
    folder.join(format!("{}.rs", inner.replace("::", "/")))
}

pub(crate) fn parse(text: &str, path: PathBuf, name: &str) -> Result<Documented, Error> {
    let file = match syn::parse_file(text) {
        Ok(file) => file,
        Err(source) => return Err(Error::Syntax { path, source }),
    };
    let found = file.items.iter().find_map(|item| match item {
        Item::Struct(found) if found.ident == name => Some(found),
        _ => None,
    });
    match found.map(|found| (found, &found.fields)) {
        Some((found, Fields::Named(fields))) => document(found, fields.named.iter()),
        _ => Err(Error::NoStruct { path, name: name.to_owned() }),
    }
}

fn document<'a>(
    found: &ItemStruct,
    fields: impl Iterator<Item = &'a syn::Field>,
) -> Result<Documented, Error> {
    let text = comment(&found.attrs).ok_or_else(|| Error::Undocumented(found.ident.to_string()))?;
    let field = |field: &syn::Field| {
        let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
        let text = comment(&field.attrs).ok_or_else(|| Error::Undocumented(name.clone()))?;
        Ok(Field { name, text, kind: kinds::describe(&field.ty)? })
    };
    Ok(Documented { text, fields: fields.map(field).collect::<Result<_, _>>()? })
}

/// Returns the doc comment among these attributes. Lines of one paragraph become one line.
fn comment(attributes: &[Attribute]) -> Option<String> {
    let lines: Vec<String> = attributes.iter().filter_map(doc_line).collect();
    let paragraphs = lines.split(String::is_empty).filter(|lines| !lines.is_empty());
    let paragraphs: Vec<String> = paragraphs.map(|lines| lines.join(" ")).collect();
    // Links to items of the source code have no target on a page, so only their text stays.
    let text = paragraphs.join("\n\n").replace("[`", "`").replace("`]", "`");
    (!text.is_empty()).then_some(text)
}

fn doc_line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    match &pair.value {
        Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) if pair.path.is_ident("doc") => {
            Some(line.value().trim().to_owned())
        }
        _ => None,
    }
}
