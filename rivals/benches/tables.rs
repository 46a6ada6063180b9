//! Who is faster and tighter, and by how much? Prints the tables: see the README.

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: rivals::usage::CountingAllocator = rivals::usage::CountingAllocator;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    rivals::program::run()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
