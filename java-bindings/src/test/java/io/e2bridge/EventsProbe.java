package io.e2bridge;

/** A program whose calls are logged. */
public final class EventsProbe {
    private EventsProbe() {}

    /**
     * One sandbox, one execution that times out, one file.
     *
     * @param arguments none
     */
    public static void main(String[] arguments) {
        try (E2B e2b = E2B.open()) {
            String sandbox = e2b.createE2BSandbox("logged", "base", 60, 64, 1).sandboxId();
            e2b.executeE2BProcess(sandbox, "echo top-secret; sleep 60", null, 1, true);
            e2b.writeE2BFile(sandbox, "top-secret", "top-secret".getBytes(java.nio.charset.StandardCharsets.UTF_8));
            e2b.terminateE2BSandbox(sandbox, true);
        }
    }
}
