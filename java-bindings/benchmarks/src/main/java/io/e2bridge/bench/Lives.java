package io.e2bridge.bench;

import io.e2bridge.CodeResult;
import java.util.List;

/** Whole lives of sandboxes, one after another: create, first run of code, terminate, each timed by itself. */
final class Lives implements Measurement {
    private final Client client;
    private final Snippet snippet;
    private final boolean pooled;
    private final int lives;
    private final Row create;
    private final Row first;
    private final Row terminate;
    private int fromPool;
    private int all;

    /** With a pool each life begins when the pool is full again; without, one begins when the last one has ended. */
    Lives(Client client, Snippet snippet, boolean pooled, int lives, Row create, Row first, Row terminate) {
        this.client = client;
        this.snippet = snippet;
        this.pooled = pooled;
        this.lives = lives;
        this.create = create;
        this.first = first;
        this.terminate = terminate;
    }

    @Override
    public List<Row> rows() {
        return List.of(create, first, terminate);
    }

    @Override
    public void block(Effort effort, Results results) {
        double[] creates = new double[lives];
        double[] firsts = new double[lives];
        double[] ends = new double[lives];
        long hits = hits();
        for (int i = 0; i < lives; i++) {
            if (pooled) {
                client.awaitFullPool(snippet.template());
            }
            long begin = System.nanoTime();
            String sandbox = client.create(snippet.template());
            long created = System.nanoTime();
            CodeResult answer = client.e2b().runE2BCode(sandbox, snippet.language(), snippet.code());
            long ran = System.nanoTime();
            client.terminate(sandbox);
            long ended = System.nanoTime();
            snippet.check(answer);
            creates[i] = (created - begin) / 1e3;
            firsts[i] = (ran - created) / 1e3;
            ends[i] = (ended - ran) / 1e3;
        }
        all += lives;
        fromPool += (int) (hits() - hits);
        results.series(create.id()).add(creates);
        results.series(first.id()).add(firsts);
        results.series(terminate.id()).add(ends);
        if (pooled && fromPool < all) {
            results.remark(create.id(), fromPool + " of " + all + " came from the pool");
        }
    }

    @Override
    public void forget() {
        fromPool = 0;
        all = 0;
    }

    private long hits() {
        return client.pool(snippet.template()).path("hits").asLong();
    }
}
