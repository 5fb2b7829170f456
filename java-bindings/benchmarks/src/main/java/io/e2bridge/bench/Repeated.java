package io.e2bridge.bench;

import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** One call, made again and again by one caller. */
final class Repeated implements Measurement {
    /** A call, and the check of its answer, which is not timed. */
    interface Call<T> {
        T make() throws Exception;

        default void check(T answer) throws Exception {}
    }

    private final Row row;
    private final int calls;
    private final long pauseMicros;
    private final Runnable before;
    private final Call<?> call;

    private Repeated(Row row, int calls, long pauseMicros, Runnable before, Call<?> call) {
        this.row = row;
        this.calls = calls;
        this.pauseMicros = pauseMicros;
        this.before = before;
        this.call = call;
    }

    static Repeated of(Row row, int calls, Call<?> call) {
        return new Repeated(row, calls, 0, () -> {}, call);
    }

    /** Makes each call so long after the last one. */
    Repeated paced(long micros) {
        return new Repeated(row, calls, micros, before, call);
    }

    /** Does this before each call; it is not timed. */
    Repeated preparedBy(Runnable preparation) {
        return new Repeated(row, calls, pauseMicros, preparation, call);
    }

    @Override
    public List<Row> rows() {
        return List.of(row);
    }

    @Override
    public void block(Effort effort, Results results) throws Exception {
        results.series(row.id()).add(samples(call));
    }

    private <T> double[] samples(Call<T> timed) throws Exception {
        double[] samples = new double[calls];
        for (int i = 0; i < calls; i++) {
            before.run();
            if (pauseMicros > 0) {
                LockSupport.parkNanos(TimeUnit.MICROSECONDS.toNanos(pauseMicros));
            }
            long begin = System.nanoTime();
            T answer = timed.make();
            samples[i] = (System.nanoTime() - begin) / 1e3;
            timed.check(answer);
        }
        return samples;
    }
}
