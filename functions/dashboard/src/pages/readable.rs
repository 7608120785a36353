//! What a rendered page says, as text that a test can judge as a whole.

/// The texts of the page below its heading.
pub(crate) fn main(html: &str) -> String {
    texts(html, "</h1>", "</main>")
}

/// The texts of the section with this heading.
pub(crate) fn section(html: &str, id: &str) -> String {
    texts(html, &format!("aria-labelledby=\"{id}\""), "</section>")
}

/// The texts between these two marks: a line for each row, paragraph, heading and card.
fn texts(html: &str, begin: &str, end: &str) -> String {
    let (_, rest) = html.split_once(begin).unwrap_or_else(|| panic!("{html}"));
    let (part, _) = rest.split_once(end).unwrap();
    let part = ["</tr>", "</p>", "</h2>", "</dd>", "</li>", "</pre>"]
        .iter()
        .fold(part.to_owned(), |part, tag| part.replace(tag, "<\n>"));
    let lines = part.split("<\n>").map(|line| {
        let texts = line.split('<').filter_map(|text| text.split_once('>'));
        let texts = texts.map(|(_, text)| text.trim());
        let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
        texts.join(" | ")
    });
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    // The compiler refuses a snapshot that turns the direction of text.
    lines.join("\n").replace('\u{202e}', "U+202E ")
}
