//! Token sequences of a batch without padding and without repetition: what several of them begin with stands once.
//!
//! A batch is a list of segments, runs of tokens that follow on one another or branch. All rows of all segments go through
//! the linear layers together; in attention a segment sees the segments that it follows on, and itself up to each row.
//! What is shared is decided question by question (and by a prefix that the question itself marks), never by what else is
//! in the batch, so that a score does not depend on its neighbours.

use std::collections::BTreeMap;

/// A sequence whose last tokens are scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scored {
    /// Context and continuation.
    pub tokens: Vec<u32>,
    /// How many of the last tokens are scored; each needs a token before it.
    pub scored: usize,
}

/// The sequences of one question.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Sequences {
    /// The sequences.
    pub all: Vec<Scored>,
    /// Leading tokens of each that many questions share (few-shot examples).
    pub prefix: usize,
}

impl Sequences {
    /// Tokens that go through the model if nothing is shared between sequences.
    #[must_use]
    pub fn unshared(&self) -> usize {
        self.all.iter().map(|s| s.tokens.len() - 1).sum()
    }

    /// Tokens that go through the model.
    #[must_use]
    pub fn shared(&self) -> usize {
        let mut forest = Forest::default();
        forest.add(self, true);
        forest.tokens.len()
    }
}

/// A run of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first row.
    pub start: usize,
    /// Its rows.
    pub len: usize,
    /// Rows that it follows on, `(start, len)`, from the first on.
    pub before: Vec<(usize, usize)>,
}

impl Segment {
    /// Position of the first row.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.before.iter().map(|b| b.1).sum()
    }
}

/// Where one scored token is predicted, and which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goal {
    /// Row of the token before it.
    pub row: usize,
    /// The token.
    pub token: u32,
}

/// All sequences of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forest {
    /// One token per row.
    pub tokens: Vec<u32>,
    /// Its position.
    pub positions: Vec<u32>,
    /// The segments; each row is in one.
    pub segments: Vec<Segment>,
    /// Goals by question and sequence.
    pub goals: Vec<Vec<Vec<Goal>>>,
    /// Segments of marked prefixes by their tokens.
    prefixes: BTreeMap<Vec<u32>, usize>,
}

impl Forest {
    /// The forest of some questions. Without `share` every sequence stands alone.
    #[must_use]
    pub fn of<'a>(questions: impl IntoIterator<Item = &'a Sequences>, share: bool) -> Self {
        let mut forest = Self::default();
        for question in questions {
            forest.add(question, share);
        }
        if forest.tokens.len() == 1 {
            // One row alone is summed in another order than one of several.
            forest.push(&[], &[forest.tokens[0]]);
        }
        forest
    }

    /// A plain sequence without goals.
    #[must_use]
    pub fn chains<'a>(all: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut forest = Self::default();
        for tokens in all {
            forest.push(&[], tokens);
        }
        forest
    }

    fn push(&mut self, path: &[usize], tokens: &[u32]) -> usize {
        let before: Vec<(usize, usize)> =
            path.iter().map(|&s| (self.segments[s].start, self.segments[s].len)).collect();
        let segment = Segment { start: self.tokens.len(), len: tokens.len(), before };
        let depth = segment.depth() as u32;
        self.positions.extend(depth..depth + tokens.len() as u32);
        self.tokens.extend_from_slice(tokens);
        self.segments.push(segment);
        self.segments.len() - 1
    }

    fn add(&mut self, question: &Sequences, share: bool) {
        let inputs: Vec<&[u32]> = question.all.iter().map(|s| &s.tokens[..s.tokens.len() - 1]).collect();
        let mut rows: Vec<Vec<usize>> = vec![Vec::new(); inputs.len()];
        if share {
            let mut path = Vec::new();
            let prefix = question.prefix;
            if prefix > 0 && inputs.iter().all(|i| i.len() > prefix) {
                let tokens = &inputs[0][..prefix];
                let known = self.prefixes.get(tokens).copied();
                let segment = known.unwrap_or_else(|| self.push(&[], tokens));
                self.prefixes.insert(tokens.to_vec(), segment);
                path.push(segment);
                let start = self.segments[segment].start;
                rows.iter_mut().for_each(|r| r.extend(start..start + prefix));
            }
            let all: Vec<usize> = (0..inputs.len()).collect();
            self.branch(&inputs, &all, &mut path, &mut rows);
        } else {
            for (input, rows) in inputs.iter().zip(&mut rows) {
                let segment = self.push(&[], input);
                let start = self.segments[segment].start;
                rows.extend(start..start + input.len());
            }
        }
        let goals = question.all.iter().zip(rows).map(|(sequence, rows)| {
            let first = sequence.tokens.len() - sequence.scored;
            (first..sequence.tokens.len())
                .map(|i| Goal { row: rows[i - 1], token: sequence.tokens[i] })
                .collect()
        });
        self.goals.push(goals.collect());
    }

    /// Adds what `members` have in common from their rows on, then branches by the next token, in order.
    fn branch(
        &mut self,
        inputs: &[&[u32]],
        members: &[usize],
        path: &mut Vec<usize>,
        rows: &mut [Vec<usize>],
    ) {
        let depth = rows[members[0]].len();
        let first = &inputs[members[0]][depth..];
        let common = |m: &usize| first.iter().zip(&inputs[*m][depth..]).take_while(|(a, b)| a == b).count();
        let length = members.iter().map(common).min().unwrap_or(0);
        let pushed = length > 0;
        if pushed {
            let segment = self.push(path, &first[..length]);
            path.push(segment);
            let start = self.segments[segment].start;
            members.iter().for_each(|&m| rows[m].extend(start..start + length));
        }
        let mut left: Vec<usize> =
            members.iter().copied().filter(|&m| inputs[m].len() > depth + length).collect();
        while let Some(&next) = left.first() {
            let token = inputs[next][depth + length];
            let (same, rest) = left.iter().partition(|&&m| inputs[m][depth + length] == token);
            let same: Vec<usize> = same;
            self.branch(inputs, &same, path, rows);
            left = rest;
        }
        if pushed {
            path.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(prefix: usize, all: &[(&[u32], usize)]) -> Sequences {
        let one = |(tokens, scored): &(&[u32], usize)| Scored { tokens: tokens.to_vec(), scored: *scored };
        Sequences { all: all.iter().map(one).collect(), prefix }
    }

    #[test]
    fn choices_branch_from_their_context() {
        // Context 1 2 3; choices 4 5, 4 6, 7: the last token of each is predicted, not read.
        let q = question(0, &[(&[1, 2, 3, 4, 5], 2), (&[1, 2, 3, 4, 6], 2), (&[1, 2, 3, 7], 1)]);
        let forest = Forest::of([&q], true);
        assert_eq!(forest.tokens, [1, 2, 3, 4]);
        assert_eq!(forest.positions, [0, 1, 2, 3]);
        let goal = |row, token| Goal { row, token };
        assert_eq!(
            forest.goals[0],
            [vec![goal(2, 4), goal(3, 5)], vec![goal(2, 4), goal(3, 6)], vec![goal(2, 7)]]
        );
        assert_eq!((q.shared(), q.unshared()), (4, 11));
        let alone = Forest::of([&q], false);
        assert_eq!((alone.tokens.len(), alone.segments.len()), (11, 3));
    }

    #[test]
    fn a_marked_prefix_serves_all_questions() {
        let a = question(2, &[(&[9, 9, 1, 2, 3], 1), (&[9, 9, 1, 2, 4], 1)]);
        let b = question(2, &[(&[9, 9, 1, 5, 6], 2)]);
        let forest = Forest::of([&a, &b], true);
        assert_eq!(forest.tokens, [9, 9, 1, 2, 1, 5]);
        assert_eq!(forest.segments[1].before, [(0, 2)]);
        assert_eq!(forest.segments[2], Segment { start: 4, len: 2, before: vec![(0, 2)] });
        // What is shared within a question does not depend on the others: the 1 stands twice.
        assert_eq!(forest.goals[1], [vec![Goal { row: 4, token: 5 }, Goal { row: 5, token: 6 }]]);
    }
}
