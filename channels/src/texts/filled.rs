//! Fills a template at compile time. If a file is missing, or uses an unknown field, the build
//! fails.

/// Fills a template. The path must be a literal, so each language has a line of its own.
macro_rules! filled {
    ($path:literal, $name:ident: $type:ty) => {{
        #[derive(askama::Template)]
        #[template(path = $path)]
        struct Page<'a> {
            $name: &'a $type,
        }
        askama::Template::render(&Page { $name }).expect($crate::texts::filled::RENDERS)
    }};
}

pub(crate) use filled;

pub(crate) const RENDERS: &str =
    "the templates hold only text, and a string takes any amount of it";
