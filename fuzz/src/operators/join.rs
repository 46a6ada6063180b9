//! Joins against loops over both sides.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use offheap_operators::OperatorError;
use offheap_operators::join::{HashJoin, JoinBuild, JoinKind, JoinProbe, Joined, PAGES_MIN};

use super::ops::{Input, Op};
use super::surroundings::{PATIENCE, Rows, Surroundings};
use crate::damage::SpillDir;

/// More rows of a side are not pushed.
const ROWS_MAX: usize = 4000;
/// Nor do more come out.
const JOINED_MAX: usize = 60_000;
const KINDS: [JoinKind; 4] = [JoinKind::Inner, JoinKind::Left, JoinKind::Semi, JoinKind::Anti];

/// What a join is at.
enum Phase {
    Building(Box<JoinBuild>),
    Probing(Box<JoinProbe>),
    /// It ended, with an error or without.
    Over,
}

struct Run<'a> {
    surroundings: Surroundings<'a>,
    phase: Phase,
    kind: JoinKind,
    build: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    rows: usize,
    /// What is to come out, less what has; by hashes of all bytes.
    left: HashMap<u64, i32>,
    joined: usize,
    calls: u64,
}

/// Runs `input`. Returns the number of calls that were compared with the loops.
///
/// # Panics
///
/// Where they disagree.
#[must_use]
pub fn run(input: &Input) -> u64 {
    SpillDir::with(|dir| {
        let surroundings = Surroundings::new(dir, input, PAGES_MIN);
        let kind = KINDS[usize::from(input.kind) % KINDS.len()];
        let builder = HashJoin::builder(&surroundings.owner, kind).spill_dir(dir.path());
        let builder = builder.interrupt(surroundings.interrupt.clone()).wait_for_memory(PATIENCE);
        let builder = match surroundings.file_bytes_max {
            Some(bytes) => builder.spill_bytes_max(bytes),
            None => builder,
        };
        let built = builder.build();
        let Ok(build) = built else { unreachable!("there are pages enough: {built:?}") };
        let mut run = Run {
            surroundings,
            phase: Phase::Building(Box::new(build)),
            kind,
            build: HashMap::new(),
            rows: 0,
            left: HashMap::new(),
            joined: 0,
            calls: 1,
        };
        input.ops.iter().for_each(|op| run.step(op));
        run.end_build();
        run.finish();
        let Run { surroundings, phase, calls, .. } = run;
        drop(phase);
        surroundings.end();
        calls
    })
}

impl Run<'_> {
    fn step(&mut self, op: &Op) {
        if let Some(rows) = Rows::of(op) {
            let mut each = rows.each();
            while let Some((key, row)) = each.next().filter(|_| self.rows < ROWS_MAX) {
                self.push(key, row);
            }
        } else if self.surroundings.step(op) {
            match *op {
                Op::Look => self.look(),
                Op::EndBuild => self.end_build(),
                Op::Finish if matches!(self.phase, Phase::Probing(_)) => self.finish(),
                _ => {}
            }
        }
    }

    fn push(&mut self, key: Vec<u8>, row: Vec<u8>) {
        self.calls += 1;
        self.rows += 1;
        let bytes = key.len() + row.len();
        let left = &mut self.left;
        let answer = match &mut self.phase {
            Phase::Building(build) => {
                let answer = build.push(&key, &row);
                check_size(bytes, build.row_bytes_max(), &answer);
                if answer.is_ok() {
                    self.build.entry(key).or_default().push(row);
                }
                answer
            }
            Phase::Probing(probe) => {
                let partners = self.build.get(&key).map_or(&[][..], Vec::as_slice);
                if self.joined + partners.len() > JOINED_MAX {
                    return;
                }
                // Before it comes out. If it fails, it does not, or not all of it.
                if bytes <= probe.row_bytes_max() {
                    self.joined += expect_joined(self.kind, left, (&key, &row), partners);
                }
                let answer = probe.push(&key, &row, &mut |joined| came_out(left, joined));
                check_size(bytes, probe.row_bytes_max(), &answer);
                answer
            }
            Phase::Over => return,
        };
        match answer {
            Ok(()) | Err(OperatorError::RowTooLarge { .. }) => {}
            Err(error) => self.fail(&error),
        }
    }

    fn look(&mut self) {
        self.calls += 1;
        let answer = match &mut self.phase {
            Phase::Building(build) => {
                let _ = build.stats();
                Ok(())
            }
            Phase::Probing(probe) => {
                let _ = probe.stats();
                probe.look()
            }
            Phase::Over => return,
        };
        if let Err(error) = answer {
            self.fail(&error);
        }
    }

    fn end_build(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Building(build) => {
                self.calls += 1;
                self.rows = 0;
                match build.finish() {
                    Ok(probe) => self.phase = Phase::Probing(Box::new(probe)),
                    Err(error) => self.fail(&error),
                }
            }
            phase => self.phase = phase,
        }
    }

    fn finish(&mut self) {
        let Phase::Probing(probe) = std::mem::replace(&mut self.phase, Phase::Over) else {
            return;
        };
        self.calls += 1;
        let left = &mut self.left;
        match probe.finish(&mut |joined| came_out(left, joined)) {
            Ok(stats) => {
                let missing = self.left.values().filter(|count| **count != 0).count();
                assert_eq!(missing, 0, "of {} rows: {stats:?}", self.joined);
                assert_eq!(stats.joined, self.joined as u64);
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &OperatorError) {
        self.surroundings.expect(error);
        self.phase = Phase::Over;
    }
}

/// Notes what a probe row makes come out. Returns how much.
fn expect_joined(
    kind: JoinKind,
    left: &mut HashMap<u64, i32>,
    (key, row): (&[u8], &[u8]),
    partners: &[Vec<u8>],
) -> usize {
    let builds: Vec<Option<&[u8]>> = match (kind, partners) {
        (JoinKind::Inner, _) | (JoinKind::Left, [_, ..]) => {
            partners.iter().map(|partner| Some(&partner[..])).collect()
        }
        (JoinKind::Semi, [_, ..]) | (JoinKind::Left | JoinKind::Anti, []) => vec![None],
        _ => Vec::new(),
    };
    for build in &builds {
        *left.entry(hash(key, row, *build)).or_default() += 1;
    }
    builds.len()
}

fn came_out(left: &mut HashMap<u64, i32>, joined: Joined<'_>) {
    let count = left.entry(hash(joined.key, joined.probe, joined.build)).or_default();
    *count -= 1;
    assert!(*count >= 0, "{joined:?} came out and should not");
}

fn hash(key: &[u8], probe: &[u8], build: Option<&[u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, probe, build).hash(&mut hasher);
    hasher.finish()
}

fn check_size(bytes: usize, bytes_max: usize, answer: &Result<(), OperatorError>) {
    let is_too_large = matches!(answer, Err(OperatorError::RowTooLarge { .. }));
    assert_eq!(is_too_large, bytes > bytes_max, "{bytes} of {bytes_max} bytes: {answer:?}");
}
