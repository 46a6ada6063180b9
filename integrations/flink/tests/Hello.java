/** Says that it runs. */
final class Hello {
    private Hello() {}

    public static void main(String[] arguments) {
        System.out.println("runs");
    }
}
