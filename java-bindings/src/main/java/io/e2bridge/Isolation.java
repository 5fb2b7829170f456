package io.e2bridge;

/** What a client does when the host cannot give full isolation. */
public enum Isolation {
    /**
     * Every part of the isolation is in force, or the call fails with {@link E2BErrorCode#ISOLATION_UNAVAILABLE} naming the
     * cause and what mends it. The default.
     */
    REQUIRED("required"),
    /** The strongest tier that works on this host; the documents name what is in force. */
    BEST_EFFORT("best_effort");

    private final String word;

    Isolation(String word) {
        this.word = word;
    }

    /** {@return the word used in documents} */
    public String word() {
        return word;
    }
}
