package io.e2bridge.bench;

import java.util.List;

/**
 * How much is done.
 *
 * @param rounds blocks of each measurement
 * @param sustainedSeconds length of a block under load
 * @param boundaryMillis length of one of JMH's iterations
 * @param boundaryIterations JMH's iterations
 * @param live how many sandboxes are alive at each step of the growth
 */
record Effort(int rounds, double sustainedSeconds, int boundaryMillis, int boundaryIterations, List<Integer> live) {
    static final Effort QUICK = new Effort(3, 0.4, 200, 3, List.of(1, 100));
    static final Effort DEFAULT = new Effort(10, 1.0, 1000, 5, List.of(1, 100, 500, 1000, 2000));
}
