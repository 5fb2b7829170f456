package io.e2bridge;

/** A program that leaves sandboxes behind, in each of the ways in which a program can end. */
public final class LifetimeProbe {
    private LifetimeProbe() {}

    /**
     * Makes three sandboxes with processes in the background, says so, and ends.
     *
     * @param arguments how to end: wait, exit, throw or memory
     */
    public static void main(String[] arguments) throws Exception {
        E2B e2b = E2B.open();
        for (int i = 0; i < 3; i++) {
            String sandbox = e2b.createE2BSandbox("left-" + i, "base", 600, 64, 1).sandboxId();
            e2b.executeE2BProcess(sandbox, "setsid sleep 600 & (trap '' TERM; sleep 600) & sleep 0.05", null, 20, true);
        }
        Thread call = Thread.ofPlatform().daemon().start(
                () -> e2b.executeE2BProcess(e2b.listE2BSandboxes().sandboxes().getFirst().sandboxId(), "sleep 600", null, 600, true));
        System.out.println("ready");
        System.out.flush();
        System.in.read();
        switch (arguments[0]) {
            case "exit" -> System.exit(3);
            case "throw" -> throw new IllegalStateException("the end");
            case "memory" -> {
                java.util.List<byte[]> all = new java.util.ArrayList<>();
                while (true) {
                    all.add(new byte[1 << 26]);
                }
            }
            default -> call.join();
        }
    }
}
