//! How Slack keeps a text. Source: "Formatting text for app surfaces": three characters are escaped, and addresses
//! become links.

/// The text as it is kept.
pub(super) fn kept(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (piece, length) = match first {
            '&' if ["&amp;", "&lt;", "&gt;"].iter().any(|known| rest.starts_with(known)) => {
                ("&".to_owned(), 1)
            }
            '&' => ("&amp;".to_owned(), 1),
            '<' => match markup(rest) {
                Some(markup) => (markup.to_owned(), markup.len()),
                None => ("&lt;".to_owned(), 1),
            },
            '>' => ("&gt;".to_owned(), 1),
            'h' if rest.starts_with("https://") || rest.starts_with("http://") => {
                let end = rest.find([' ', '\n', '<', '>']).unwrap_or(rest.len());
                let link = rest.get(..end).unwrap_or(rest);
                (format!("<{}>", link.replace('&', "&amp;")), link.len())
            }
            other => (other.to_string(), other.len_utf8()),
        };
        kept += &piece;
        rest = rest.get(length..).unwrap_or_default();
    }
    kept
}

/// What stands in angle brackets, where it is a mention or a link.
fn markup(text: &str) -> Option<&str> {
    let end = text.find('>')?;
    let whole = text.get(..=end)?;
    let starts = ["<@", "<#", "<!", "<http", "<mailto:"];
    starts.iter().any(|start| whole.starts_with(start)).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_as_slack_documents_it() {
        assert_eq!(kept("a < b & c > d"), "a &lt; b &amp; c &gt; d");
        assert_eq!(
            kept("<@U1> &amp; see https://x.org/?a=1&b ok"),
            "<@U1> &amp; see <https://x.org/?a=1&amp;b> ok"
        );
    }
}
