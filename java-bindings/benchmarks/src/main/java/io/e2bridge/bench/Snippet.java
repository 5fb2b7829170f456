package io.e2bridge.bench;

import io.e2bridge.CodeResult;

/**
 * Code that the sandboxes run: how much to bet, and its value, which is checked after every run.
 *
 * @param label short name, part of row ids
 * @param template template with the language's warm interpreter
 * @param language as runE2BCode takes it
 * @param code the code
 * @param expected the text of its value
 */
record Snippet(String label, String template, String language, String code, String expected) {
    private static final String IN_JAVASCRIPT = """
            (() => {
              const bet = (p, odds) => (p * odds - (1 - p)) / odds;
              return Math.round(10000 * Math.max(0, bet(0.55, 2)));
            })()
            """;
    private static final String IN_PYTHON = """
            def bet(p, odds):
                return (p * odds - (1 - p)) / odds
            round(10000 * max(0, bet(0.55, 2)))
            """;

    static final Snippet JAVASCRIPT = new Snippet("javascript", "base", "javascript", IN_JAVASCRIPT, "3250");
    static final Snippet PYTHON = new Snippet("python", "python", "python", IN_PYTHON, "3250");
    static final Snippet NODE = new Snippet("node", "node", "javascript", IN_JAVASCRIPT, "3250");

    /** Fails for a wrong answer: what is fast must be right. */
    void check(CodeResult answer) {
        if (!expected.equals(answer.result())) {
            throw new IllegalStateException(label + ": wrong answer " + answer.json());
        }
    }

    void check(String answer) {
        if (!expected.equals(answer.strip())) {
            throw new IllegalStateException(label + ": wrong answer " + answer);
        }
    }
}
