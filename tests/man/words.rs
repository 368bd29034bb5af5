//! What a reader sees of a page is what its author wrote, word for word.

use super::{PAGES, mandoc_of, plain};

/// The macros that the pages mean, other than as the first word of a line. Any other that mdoc(7) knows it takes out of
/// the text: of ".Ss In the exitrd" it makes "<the> exitrd".
const MACROS: &[&str] = &[
    "Ap", "Ar", "Bd", "Cm", "Dl", "Dq", "Em", "Ev", "Fl", "It", "Li", "Nm", "No", "Ns", "Op", "Pa", "Pc", "Pf", "Po", "Pq", "Ql", "Qq",
    "Sx", "Sy", "Ta", "Va", "Xc", "Xo", "Xr",
];

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

/// The words that a page's author wrote, without the macros.
fn written(source: &str) -> Vec<String> {
    let mut words = Vec::new();
    for line in source.lines().filter(|line| ![".\\\"", ".Bl", ".Bd", ".Dd", ".Dt", ".Os"].iter().any(|start| line.starts_with(start))) {
        let line = line.replace("\\&", "").replace("\\e", "\\").replace("\\(dq", "\"");
        let skipped = usize::from(line.starts_with('.'));
        let tokens = line.split(' ').skip(skipped).filter(|token| skipped == 0 || !MACROS.contains(token));
        tokens.for_each(|token| words.extend(words_of(token).map(str::to_owned)));
    }
    words
}

#[test]
fn no_word_of_a_page_is_taken_for_a_macro() {
    for page in PAGES {
        let rendered = plain(&mandoc_of(&["-T", "ascii"], &[page]));
        let shown: Vec<&str> = words_of(&rendered).collect();
        let written = written(&std::fs::read_to_string(page).unwrap());
        assert!(written.len() > 200, "{page}: {}", written.len());
        // mdoc adds words (the program's name, the page's head): the next one that was written is never far.
        let mut at = 0;
        for (index, word) in written.iter().enumerate() {
            let found = shown[at..].iter().take(12).position(|other| other == word);
            let before = &written[index.saturating_sub(6)..=index];
            at += 1 + found.unwrap_or_else(|| panic!("{page}: {before:?} is shown as {:?}", &shown[at.saturating_sub(6)..][..12]));
        }
        // One macro of two words on a line: the second stands inside of the first's quotes, or has lost a dash of its option.
        assert!(!rendered.contains("\"\""), "{page}: quotes within quotes");
        let shown: Vec<&str> = rendered.split_whitespace().collect();
        let lost = shown.windows(2).find(|pair| pair[0] == "|" && pair[1].starts_with('-') && !pair[1].starts_with("--"));
        assert_eq!(lost, None, "{page}: an option without its second dash");
    }
}
