//! Who is faster and tighter, and by how much? Prints the tables: see the README.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    rivals::program::run()
}
