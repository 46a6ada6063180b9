/** What a test says: a value is another, or a sentence is true. */
final class Check {
    private Check() {}

    static void equal(String what, Object expected, Object found) {
        if (!expected.equals(found)) {
            throw new AssertionError(what + ": " + found + ", not " + expected);
        }
    }

    static void that(String sentence, boolean isTrue) {
        if (!isTrue) {
            throw new AssertionError("not so: " + sentence);
        }
    }
}
