package io.e2bridge.bench;

/**
 * How much is done.
 *
 * @param rounds blocks of each measurement
 * @param sustainedSeconds length of a block under load
 * @param boundaryMillis length of one of JMH's iterations
 * @param boundaryIterations JMH's iterations
 */
record Effort(int rounds, double sustainedSeconds, int boundaryMillis, int boundaryIterations) {
    static final Effort QUICK = new Effort(3, 0.4, 200, 3);
    static final Effort DEFAULT = new Effort(10, 1.0, 1000, 5);
}
