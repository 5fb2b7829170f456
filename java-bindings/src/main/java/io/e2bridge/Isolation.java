package io.e2bridge;

/** What a client does when the host cannot give full isolation. */
public enum Isolation {
    /**
     * Every part of the isolation is in force, or the call fails with {@link E2BErrorCode#ISOLATION_UNAVAILABLE} naming the
     * cause and what mends it. The default.
     */
    REQUIRED("required"),
    /**
     * The strongest tier that works on this host. Where the host refuses namespaces, that is the tier {@code process}: Landlock,
     * seccomp, limits, as root a user id of its own, and no network; Linux 6.12 or newer. Its programs find {@code /home/user},
     * {@code /data} and the other writable places below the directory {@code $E2B_ROOT} ({@code HOME} and {@code TMPDIR} lead
     * there), while paths given to this API stay as they are; they see the names and sizes of the host's files, not their
     * content. What is in force is named by {@link SandboxStatus#isolation()}, by {@link HealthReport#isolation()} with the alert
     * {@code isolation_below_full}, and by {@link E2B#check(E2BConfig)}. Without Landlock, nothing runs.
     */
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
