//! Which shared words do threads touch, how often, and how often does a cache line move? Counted,
//! not timed: `scripts/touches.sh` builds the library with words that count, and runs this.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

#[cfg(all(target_os = "linux", offheap_count))]
mod counted {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::collections::{BTreeSet, VecDeque};
    use std::error::Error;
    use std::path::PathBuf;
    use std::sync::{Mutex, PoisonError};

    use clap::Parser;
    use offheap::touches::{Touches, restart, start, stop};
    use offheap::{MemorySegment, Owner};
    use rivals::peers::{Ours, Owners, PAGE_BYTES, Pages};
    use rivals::publish::Folder;
    use rivals::sizes::{Random, Sizes};
    use rivals::table::{Baseline, Table, Unit};
    use rivals::turns::{Marks, Rounds, Step, take_turns};

    const HELD_PAGES: usize = 1024;
    /// What the blocks of a thread hold together: 64 MiB.
    const HELD_BLOCK_PAGES: usize = 2048;
    /// Threads in the tables that tell words apart.
    const THREADS: usize = 2;

    /// The system's allocator, with a cache line of its own for the beginning of everything: so
    /// that which words share a line is what their types say, and the same in every run.
    struct LineByLine;

    #[global_allocator]
    static ALLOCATOR: LineByLine = LineByLine;

    fn from_a_line_on(layout: Layout) -> Layout {
        layout.align_to(64).map_or(layout, |layout| layout.pad_to_align())
    }

    // SAFETY: it hands every call on to the system's allocator, with the same layout for the same
    // memory, which has at least the size and the alignment that were asked for.
    unsafe impl GlobalAlloc for LineByLine {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: by the caller's contract; the size is no less.
            unsafe { System.alloc(from_a_line_on(layout)) }
        }

        unsafe fn dealloc(&self, base: *mut u8, layout: Layout) {
            // SAFETY: by the caller's contract it came from `alloc`, with the layout from there.
            unsafe { System.dealloc(base, from_a_line_on(layout)) };
        }
    }

    /// Counts touches of shared words.
    #[derive(Parser)]
    struct Arguments {
        /// The folder for Markdown, JSON and SVG files: `target/rivals` by default.
        #[arg(long)]
        output: Option<PathBuf>,
        /// Print what every line of the code did, too.
        #[arg(long)]
        places: bool,
    }

    /// What a thread does.
    #[derive(Clone, Copy)]
    enum Task {
        Pair,
        Lifo,
        HandOver,
        Blocks,
    }

    /// What it does it through.
    #[derive(Clone, Copy)]
    enum Way {
        Worker,
        Owner,
    }

    #[derive(Clone, Copy)]
    struct Case {
        way: Way,
        task: Task,
        owners: Owners,
    }

    impl Case {
        fn all() -> Vec<Self> {
            let tasks = [
                (Way::Worker, Task::Pair),
                (Way::Worker, Task::Lifo),
                (Way::Worker, Task::HandOver),
                (Way::Owner, Task::Pair),
                (Way::Owner, Task::Lifo),
                (Way::Owner, Task::Blocks),
            ];
            let with = |owners| tasks.map(|(way, task)| Self { way, task, owners });
            [with(Owners::One), with(Owners::Each)].concat()
        }

        fn name(self) -> String {
            let way = match self.way {
                Way::Worker => "worker",
                Way::Owner => "owner",
            };
            let task = match self.task {
                Task::Pair => "pair",
                Task::Lifo => "1024 then LIFO",
                Task::HandOver => "handed over",
                Task::Blocks => "blocks",
            };
            format!("{way}, {task}")
        }

        fn rounds(self) -> Rounds {
            match self.task {
                // Two steps a page.
                Task::Pair => Rounds { warm_up: 400, counted: 2000 },
                Task::Lifo => Rounds { warm_up: 2 * HELD_PAGES, counted: 2 * HELD_PAGES },
                Task::HandOver => Rounds { warm_up: 400, counted: 1000 },
                Task::Blocks => Rounds { warm_up: 300, counted: 1000 },
            }
        }

        /// What `threads` threads touch, and how many pages or blocks they allocate meanwhile.
        fn count(self, threads: usize) -> (Vec<Touches>, usize) {
            let ours = Ours::new(self.owners, threads * 4 * HELD_PAGES * PAGE_BYTES);
            let lanes: Vec<Lane> = (0..threads.div_ceil(2)).map(|_| Lane::default()).collect();
            let found = Mutex::new(Vec::new());
            let steps = |thread| self.steps(&ours.owner(), thread, &lanes[thread / 2]);
            let end = || *found.lock().unwrap_or_else(PoisonError::into_inner) = stop();
            start();
            let marks = Marks { begin: &restart, end: &end };
            let allocated = take_turns(threads, self.rounds(), &steps, &marks);
            (found.into_inner().unwrap_or_else(PoisonError::into_inner), allocated)
        }

        fn steps<'a>(self, owner: &Owner, thread: usize, lane: &'a Lane) -> Step<'a> {
            match (self.task, self.way) {
                (Task::Blocks, _) => replace(owner.clone(), thread),
                (task, Way::Worker) => pages(owner.worker(), task, thread, lane),
                (task, Way::Owner) => pages(owner.clone(), task, thread, lane),
            }
        }
    }

    /// Pages on their way from one thread to another.
    type Lane = Mutex<VecDeque<MemorySegment>>;

    fn pages<'a, A>(mut from: A, task: Task, thread: usize, lane: &'a Lane) -> Step<'a>
    where
        A: Pages<Page = MemorySegment> + 'a,
    {
        let lane = || lane.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = Vec::new();
        let mut grows = true;
        let held_max = if matches!(task, Task::Pair) { 1 } else { HELD_PAGES };
        match task {
            Task::HandOver if thread.is_multiple_of(2) => Box::new(move || {
                lane().push_back(from.allocate());
                1
            }),
            Task::HandOver => Box::new(move || {
                let page = lane().pop_front();
                page.into_iter().for_each(|page| from.release(page));
                0
            }),
            _ => Box::new(move || {
                if grows {
                    held.push(from.allocate());
                    grows = held.len() < held_max;
                    return 1;
                }
                held.pop().into_iter().for_each(|page| from.release(page));
                grows = held.is_empty();
                0
            }),
        }
    }

    fn replace(owner: Owner, thread: usize) -> Step<'static> {
        let (mut held, mut held_pages) = (Vec::<MemorySegment>::new(), 0);
        let mut random = Random::new(thread as u64);
        Box::new(move || {
            let pages = random.pages(Sizes::Any);
            while held_pages + pages > HELD_BLOCK_PAGES {
                held_pages -= held.swap_remove(random.below(held.len())).size() / PAGE_BYTES;
            }
            let block = owner.allocate(pages * PAGE_BYTES);
            held_pages += if block.is_ok() { pages } else { 0 };
            held.extend(block);
            1
        })
    }

    /// `src/base/sync/mod.rs` is `sync`, and `src/ledger/accounts/account.rs` is
    /// `budget/account`.
    fn module(touches: &Touches) -> String {
        let file = touches.place.file().rsplit("src/").next().unwrap_or_default();
        let module = file.trim_end_matches(".rs").trim_end_matches("/mod");
        module.split_once('/').map_or(module, |(_floor, room)| room).to_owned()
    }

    /// What is counted of a word.
    type Figure = fn(&Touches) -> u64;

    /// A table of what is touched in each module, for each case with one owner.
    fn by_module(title: &str, counts: &[(Case, Vec<Touches>, usize)], figure: Figure) -> Table {
        let title =
            format!("{title}, per thousand pages or blocks; {THREADS} threads of one owner");
        let mut table = Table::new(title, Baseline::Nothing);
        let modules: BTreeSet<String> =
            counts.iter().flat_map(|(_, touches, _)| touches.iter().map(module)).collect();
        for (case, touches, allocated) in counts {
            let sum = |wanted: &dyn Fn(&Touches) -> bool| {
                let touches = touches.iter().filter(|touches| wanted(touches));
                touches.map(figure).sum::<u64>() as f64 * 1000.0 / *allocated as f64
            };
            let mut cells: Vec<_> = modules
                .iter()
                .map(|name| (name.clone(), sum(&|touches| module(touches) == *name)))
                .collect();
            cells.push(("all".to_owned(), sum(&|_| true)));
            table.push(case.name(), Unit::Count, cells);
        }
        table
    }

    fn all_moves(threads: &[usize]) -> Table {
        let title =
            "Cache lines that move from one thread to another, per thousand pages or blocks";
        let mut table = Table::new(title, Baseline::Nothing);
        for threads in threads {
            let cells = Case::all().into_iter().map(|case| {
                let (touches, allocated) = case.count(*threads);
                let moves: u64 = touches.iter().map(|touches| touches.moves).sum();
                let owners = match case.owners {
                    Owners::One => "one owner",
                    Owners::Each => "an owner each",
                };
                let name = format!("{}, {owners}", case.name());
                (name, moves as f64 * 1000.0 / allocated.max(1) as f64)
            });
            table.push(format!("{threads}T"), Unit::Count, cells);
        }
        table
    }

    pub fn run() -> Result<(), Box<dyn Error>> {
        let arguments = Arguments::parse();
        let folder = Folder::open(arguments.output.as_deref())?;
        let of_one = Case::all().into_iter().filter(|case| matches!(case.owners, Owners::One));
        let counts: Vec<_> = of_one
            .map(|case| {
                let (touches, allocated) = case.count(THREADS);
                (case, touches, allocated)
            })
            .collect();
        let table = |title, figure: Figure| by_module(title, &counts, figure);
        folder
            .publish(&table("Atomic read-modify-writes", |touches| touches.rmws), "touches-rmw")?;
        let plain: Figure = |touches| touches.loads + touches.stores;
        folder.publish(&table("Atomic loads and stores", plain), "touches-plain")?;
        let moves = table("Cache lines that move from thread to thread", |touches| touches.moves);
        folder.publish(&moves, "touches-moves")?;
        folder.publish(&all_moves(&[1, 2, 4, 8, 16, 32]), "touches-threads")?;
        if arguments.places {
            for (case, touches, _) in &counts {
                println!("\n{}", case.name());
                touches.iter().for_each(|touches| println!("{touches:?}"));
            }
        }
        Ok(())
    }
}

#[cfg(all(target_os = "linux", offheap_count))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    counted::run()
}

#[cfg(not(all(target_os = "linux", offheap_count)))]
fn main() {}
