package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.util.Objects;

/**
 * Latencies of one function since the client was opened, microseconds.
 *
 * @param json the document as it came
 */
public record LatencySummary(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public LatencySummary {
        Objects.requireNonNull(json, "json");
    }

    /** {@return calls that ended, failed ones included} */
    public long count() {
        return Fields.whole(json, "count");
    }

    /** {@return calls that ended with an error} */
    public long errors() {
        return Fields.whole(json, "errors");
    }

    /** {@return median, microseconds} */
    public double p50Us() {
        return Fields.number(json, "p50_us");
    }

    /** {@return 90th percentile, microseconds} */
    public double p90Us() {
        return Fields.number(json, "p90_us");
    }

    /** {@return 99th percentile, microseconds} */
    public double p99Us() {
        return Fields.number(json, "p99_us");
    }

    /** {@return largest, microseconds} */
    public double maxUs() {
        return Fields.number(json, "max_us");
    }
}
