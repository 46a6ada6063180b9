//! The library behind the Java agent that runs Apache Flink's managed memory on one region.
//!
//! The JVM asks for pages by the batch and keeps some at hand (`java/offheap/flink/Pages.java`); it
//! knows them by their addresses. `region` maps an address back to the segment that it stands for,
//! and refuses one that stands for none. `jni` is what the JVM calls.
//!
//! ```text
//! MemoryManager.allocatePages     Flink, unchanged
//! MemoryUtils.allocateUnsafe      Flink, with one call instruction replaced by the agent
//! offheap.flink.Backend           Java: a page, or anything else from Unsafe as before
//! offheap.flink.Pages             Java: free pages at hand, who holds which, counters
//! ---------------------------------------------------------------- JNI, a batch a call
//! jni                             numbers in, numbers out                        unsafe
//! region                          an owner of all there is; address to segment
//! ```

mod jni;
mod region;
