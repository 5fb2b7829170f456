package io.e2bridge.bench;

import java.util.List;

/** Something that is measured in small blocks, in turn with the others. One thread calls it. */
interface Measurement {
    /** {@return the rows it has samples for} */
    List<Row> rows();

    /**
     * Takes one block of samples.
     *
     * @throws Exception what went wrong; the measurement is then left out of the rest of the run
     */
    void block(Effort effort, Results results) throws Exception;

    /** Forgets what was seen beside the samples: the blocks until now only warmed up. */
    default void forget() {}
}
