//! A shared resource is not used after its lease went back.

use offheap::resources::Lease;

fn misuse(lease: Lease<String>) -> usize {
    let name: &String = &lease;
    drop(lease);
    name.len()
}

fn main() {}
