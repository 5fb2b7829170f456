package io.e2bridge;

import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Assumptions;

/** What a test needs of the machine it runs on. */
public final class Host {
    /** Set to 1 where nothing may be skipped: a missing need is then a failure. */
    private static final boolean REQUIRED = "1".equals(System.getenv("E2B_TESTS_REQUIRED"));

    private Host() {}

    /**
     * Skips the test, or fails it where nothing may be skipped.
     *
     * @param there whether the machine has what the test needs
     * @param need what that is, in words
     */
    public static void require(boolean there, String need) {
        if (REQUIRED) {
            Assertions.assertTrue(there, "E2B_TESTS_REQUIRED is 1, but this machine lacks: " + need);
        }
        Assumptions.assumeTrue(there, "this machine lacks: " + need);
    }

    /** {@return true in the long run: Maven's profile full, or E2BRIDGE_FULL=1} */
    public static boolean full() {
        return Boolean.getBoolean("e2bridge.full") || "1".equals(System.getenv("E2BRIDGE_FULL"));
    }

    /** {@return true when this JVM runs as root} */
    public static boolean root() {
        return System.getProperty("user.name").equals("root");
    }
}
