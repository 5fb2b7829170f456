package io.e2bridge.bench;

/** What a row's samples are. */
enum Unit {
    MICROSECONDS("µs"),
    MEBIBYTES("MiB");

    private final String symbol;

    Unit(String symbol) {
        this.symbol = symbol;
    }

    String symbol() {
        return symbol;
    }
}
