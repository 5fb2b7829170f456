package io.e2bridge;

/** Where sandboxes run. */
public enum Backend {
    /** On this machine, by the embedded engine. The default. */
    LOCAL("local"),
    /**
     * On the E2B cloud or a self-hosted E2B cluster, which needs a key: {@link E2BConfig.Builder#apiKey} or the environment
     * variable {@code E2B_API_KEY}. A key alone never chooses it.
     */
    CLOUD("cloud");

    private final String word;

    Backend(String word) {
        this.word = word;
    }

    /** {@return the word used in documents} */
    public String word() {
        return word;
    }
}
