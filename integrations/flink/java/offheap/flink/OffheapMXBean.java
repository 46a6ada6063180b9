package offheap.flink;

/** The region of a process in numbers, at {@code offheap.flink:type=Region}. */
public interface OffheapMXBean {
    /** The pages that were handed to Flink. */
    long getServed();

    /** The pages that Flink gave back. */
    long getReturned();

    /** The pages that the region did not have, and that came from Unsafe. */
    long getFallbacks();

    /** Those of them that were given back. */
    long getFallbacksReturned();

    /** The addresses of the region that were freed although no page was out there. */
    long getForeign();

    /** The bytes that Flink has. */
    long getInUseBytes();

    /** The most bytes that Flink ever had, to within a few pages. */
    long getPeakBytes();

    /** The bytes of the region. */
    long getRegionBytes();

    /** The bytes of the region that the kernel counts as resident. */
    long getResidentBytes();

    /** The bytes of free pages that threads keep at hand. */
    long getAtHandBytes();

    /** The free bytes that may be resident. */
    long getIdleBytes();

    /** The bytes that were given back to the system. */
    long getGivenBackBytes();

    /** The bytes of a page. */
    long getPageBytes();

    /** The pages that Flink's memory managers got from their factory, if it is verified. */
    long getIssued();

    /** Those of them that lie in the region. */
    long getIssuedInRegion();

    /** Those of them that begin at a multiple of 4 KiB. */
    long getIssuedAligned();

    /** How often a memory manager refused memory. */
    long getRefusals();

    /** The last refusal, and who held memory then. */
    String getLastRefusal();

    /** Who holds memory now. */
    String holders();

    /** Gives all free memory back to the system; returns how many bytes. */
    long trim();
}
