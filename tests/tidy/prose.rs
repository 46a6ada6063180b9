//! Markdown, as far as it takes to find its words and sentences.

/// The words of `text` outside of code, with the number of their line from zero.
pub fn words(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose_lines(text) {
        let line = without_code(&without_targets(&line)).replace(CODE, " ");
        let parts = line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
        let parts = parts.filter(|part| !part.is_empty());
        found.extend(parts.map(|part| (number, part.to_owned())));
    }
    found
}

/// The sentences of `text`, with the number of the line they begin on, from zero. A list's item
/// and a heading begin new ones; code and tables have none.
pub fn sentences(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in prose_lines(text) {
        let line = without_code(&without_targets(&line));
        let line = line.trim().trim_start_matches("> ");
        let is_heading = line.starts_with('#');
        let is_apart = line.is_empty() || line.starts_with('|') || is_heading;
        let item = after_marker(line);
        if is_apart || item.is_some() {
            found.extend(open.take());
        }
        if line.starts_with('|') {
            continue;
        }
        for token in item.unwrap_or(line).trim_start_matches('#').split_whitespace() {
            let (_, sentence) = open.get_or_insert((number, String::new()));
            sentence.push_str(if sentence.is_empty() { "" } else { " " });
            sentence.push_str(token);
            if ends_sentence(token) {
                found.extend(open.take());
            }
        }
        if is_heading {
            found.extend(open.take());
        }
    }
    found.extend(open);
    found
}

/// How many words a sentence has; a span of code is one.
pub fn count(sentence: &str) -> usize {
    let is_word = |token: &&str| token.chars().any(|c| c.is_alphanumeric() || c == CODE);
    sentence.split_whitespace().filter(is_word).count()
}

/// Stands for a span of code.
const CODE: char = '\u{fffc}';

/// The lines outside of code blocks, with their numbers from zero.
fn prose_lines(text: &str) -> Vec<(usize, String)> {
    let mut fence: Option<&str> = None;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let opens = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, opens) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(mark), Some(other)) if mark == other => fence = None,
            (None, None) if !is_link_definition(start) => found.push((number, line.to_owned())),
            _ => {}
        }
        // A block parts what is around it.
        if opens.is_some() {
            found.push((number, String::new()));
        }
    }
    found
}

/// `[name]: target`
fn is_link_definition(line: &str) -> bool {
    line.starts_with('[') && line.contains("]: ")
}

/// `line` with each `` `span` `` as one word.
fn without_code(line: &str) -> String {
    let mut rest = line;
    let mut kept = String::new();
    while let Some((before, after)) = rest.split_once('`') {
        let ticks = 1 + after.len() - after.trim_start_matches('`').len();
        let mark = "`".repeat(ticks);
        let Some((_, behind)) = after[ticks - 1..].split_once(&mark) else { break };
        kept.push_str(before);
        kept.push(CODE);
        rest = behind;
    }
    kept + rest
}

/// `line` with `[text](target)` as its text, and without `<tags>`.
fn without_targets(line: &str) -> String {
    let mut kept = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("](") {
        let Some((_, behind)) = after.split_once(')') else { break };
        kept.push_str(before);
        kept.push(' ');
        rest = behind;
    }
    kept.push_str(rest);
    kept.replace(['[', ']'], " ").replace("<br>", " ")
}

/// What follows the marker of a list's item.
fn after_marker(line: &str) -> Option<&str> {
    let bullet = ["- ", "* ", "+ "].iter().find_map(|marker| line.strip_prefix(marker));
    bullet.or_else(|| {
        let (number, rest) = line.split_once(". ").or_else(|| line.split_once(") "))?;
        let is_number = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
        is_number.then_some(rest)
    })
}

fn ends_sentence(token: &str) -> bool {
    let bare = token.trim_end_matches(['"', '\'', ')', '*', '_', '\u{201d}']);
    let is_short = ["e.g.", "i.e.", "etc.", "vs.", "cf."].contains(&bare.trim_start_matches('('));
    bare.ends_with(['.', '!', '?']) && !bare.ends_with("..") && !is_short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        sentences(text).into_iter().map(|(_, sentence)| sentence).collect()
    }

    #[test]
    fn sentences_end_at_their_marks_and_run_over_lines() {
        let text = "One is\nhere. Is two? (Yes!) It costs 1.5 MB, e.g. now: fine";
        let expected = ["One is here.", "Is two?", "(Yes!)", "It costs 1.5 MB, e.g. now: fine"];
        assert_eq!(said(text), expected);
    }

    #[test]
    fn items_headings_and_paragraphs_are_apart() {
        let text = "# Head\nfirst\n- one\n  more\n* two\n1. three\n\nlast";
        assert_eq!(said(text), ["Head", "first", "one more", "two", "three", "last"]);
    }

    #[test]
    fn code_and_tables_have_no_sentences() {
        let text = "before\n```rust\nlet a. b\n```\nbetween\n| a | b |\n|---|---|\nafter";
        assert_eq!(said(text), ["before", "between", "after"]);
    }

    #[test]
    fn a_span_of_code_is_one_word_and_a_target_none() {
        let sentence =
            &said("Call `a(b, c. d)` or ``x ` y``, see [the page](https://a.b/c d) — now.")[0];
        assert_eq!(count(sentence), 8);
        assert_eq!(said("see [it].\n\n[it]: https://a.b/c"), ["see it ."]);
    }

    #[test]
    fn lines_are_numbered_from_zero() {
        assert_eq!(
            sentences("a.\n\n```\nx\n```\nb. c\nd")[1..],
            [(5, "b.".into()), (5, "c d".into())]
        );
        assert_eq!(words("a\n\n`x` b-c")[1..], [(2, "b-c".to_owned())]);
    }
}
