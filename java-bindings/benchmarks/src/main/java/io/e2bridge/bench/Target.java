package io.e2bridge.bench;

/**
 * What a row is to reach.
 *
 * @param limit in the row's unit, or per second
 * @param rate true: at least {@code limit} calls per second; false: a median of at most {@code limit}
 */
record Target(double limit, boolean rate) {
    boolean met(Series series) {
        return rate ? series.rate() >= limit : series.median() <= limit;
    }

    /** {@return how far the measured value is from the limit: 1 is just met, 2 is twice as much as allowed or half of what is asked} */
    double excess(Series series) {
        return rate ? limit / series.rate() : series.median() / limit;
    }

    String text(Unit unit) {
        return rate ? "≥ " + Text.number(limit) + "/s" : "≤ " + Text.number(limit) + (unit == Unit.MICROSECONDS ? "" : " " + unit.symbol());
    }
}
