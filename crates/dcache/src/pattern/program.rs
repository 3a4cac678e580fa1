//! A glob compiled to a list of steps.

use std::iter::Peekable;
use std::str::Chars;

/// One step of a glob. A glob has at most twice as many steps as its text has bytes.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Matches one character of a class.
    One(Class),
    /// Matches any run of characters.
    Run,
    /// Continues with the next step, or with this one.
    Fork(usize),
    /// Continues with this step.
    Jump(usize),
}

/// The characters that a step matches.
#[derive(Clone, Debug)]
pub(super) enum Class {
    /// Exactly this character.
    Only(char),
    /// Matches every character.
    Any,
    /// The characters within one of these ranges or, if negated, all others.
    Ranges { ranges: Vec<(char, char)>, is_negated: bool },
}

impl Class {
    pub(super) fn contains(&self, character: char) -> bool {
        match self {
            Self::Only(only) => *only == character,
            Self::Any => true,
            Self::Ranges { ranges, is_negated } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&character)) != *is_negated
            }
        }
    }
}

/// Reason why a glob is not well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternSyntax {
    /// A `[` without its `]`.
    #[error("`[` is not closed by `]`")]
    OpenClass,
    /// A range that ends before it begins.
    #[error("the range {0}-{1} ends before it begins")]
    Range(char, char),
    /// A `{` without its `}`.
    #[error("`{{` is not closed by `}}`")]
    OpenAlternatives,
    /// A `}` without its `{`.
    #[error("`}}` closes nothing")]
    ClosedTwice,
    /// A `\` at the end.
    #[error("`\\` at the end is followed by nothing")]
    Escape,
}

/// A parsed glob.
#[derive(Clone, Debug)]
pub(super) struct Program {
    steps: Vec<Step>,
}

/// A list of alternatives whose end is not parsed yet.
struct Alternatives {
    /// Place of the fork before the last alternative.
    fork: usize,
    /// Places of the jumps at the ends of the earlier alternatives.
    jumps: Vec<usize>,
}

impl Program {
    pub(super) fn read(text: &str) -> Result<Self, PatternSyntax> {
        let mut program = Self { steps: Vec::new() };
        let mut open: Vec<Alternatives> = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '*' => program.steps.push(Step::Run),
                '?' => program.steps.push(Step::One(Class::Any)),
                '[' => program.steps.push(Step::One(class(&mut rest)?)),
                '\\' => {
                    let literal = rest.next().ok_or(PatternSyntax::Escape)?;
                    program.steps.push(Step::One(Class::Only(literal)));
                }
                '{' => open.push(Alternatives { fork: program.fork(), jumps: Vec::new() }),
                '}' => program.close(open.pop().ok_or(PatternSyntax::ClosedTwice)?),
                literal => match open.last_mut().filter(|_| literal == ',') {
                    Some(alternatives) => program.next_alternative(alternatives),
                    None => program.steps.push(Step::One(Class::Only(literal))),
                },
            }
        }
        if open.is_empty() { Ok(program) } else { Err(PatternSyntax::OpenAlternatives) }
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Adds a fork whose second target is set later.
    fn fork(&mut self) -> usize {
        let place = self.steps.len();
        self.steps.push(Step::Fork(place + 1));
        place
    }

    fn next_alternative(&mut self, alternatives: &mut Alternatives) {
        alternatives.jumps.push(self.steps.len());
        self.steps.push(Step::Jump(self.steps.len() + 1));
        self.steps[alternatives.fork] = Step::Fork(self.steps.len());
        alternatives.fork = self.fork();
    }

    fn close(&mut self, alternatives: Alternatives) {
        let end = self.steps.len();
        for jump in alternatives.jumps {
            self.steps[jump] = Step::Jump(end);
        }
    }
}

/// Parses a class after its `[`.
fn class(rest: &mut Peekable<Chars<'_>>) -> Result<Class, PatternSyntax> {
    let is_negated = rest.next_if(|next| matches!(next, '!' | '^')).is_some();
    let mut ranges = Vec::new();
    loop {
        let first = rest.next().ok_or(PatternSyntax::OpenClass)?;
        // A `]` at the beginning of a class is one of its characters, not its end.
        if first == ']' && !ranges.is_empty() {
            return Ok(Class::Ranges { ranges, is_negated });
        }
        let mut ahead = rest.clone();
        let is_range = ahead.next() == Some('-') && ahead.peek().is_some_and(|last| *last != ']');
        let last = if is_range { ahead.next().unwrap_or(first) } else { first };
        if is_range {
            *rest = ahead;
        }
        if last < first {
            return Err(PatternSyntax::Range(first, last));
        }
        ranges.push((first, last));
    }
}
