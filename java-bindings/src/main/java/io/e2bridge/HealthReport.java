package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Answer of {@link E2B#monitorE2BHealth}.
 *
 * @param json the document as it came
 */
public record HealthReport(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public HealthReport {
        Objects.requireNonNull(json, "json");
    }

    /** {@return {@code healthy}, {@code degraded} or {@code unhealthy}} */
    public String overallHealth() {
        return Fields.text(json, "overall_health");
    }

    /** {@return every live sandbox when asked for, else empty} */
    public List<SandboxHealth> sandboxes() {
        return Fields.objects(json, "sandboxes", SandboxHealth::new);
    }

    /** {@return {@code local}} */
    public String backend() {
        return Fields.text(json, "backend");
    }

    /**
     * {@return an object: {@code state} ({@code running} or {@code unavailable}), {@code version}, {@code protocol_version}, {@code
     * process_id}, {@code supervisor_pid}, {@code probe_us} (microseconds), {@code swept_clients}, {@code error}}
     */
    public JsonNode engine() {
        return Fields.object(json, "engine");
    }

    /** {@return isolation that new sandboxes get} */
    public IsolationReport isolation() {
        return new IsolationReport(Fields.object(json, "isolation"));
    }

    /** {@return an object: processors, memory, load, room for more sandboxes} */
    public JsonNode host() {
        return Fields.object(json, "host");
    }

    /**
     * {@return an object: pools by template, each with active (true once the template was used), ready, target, hits, misses (creates that
     * found none ready), last_fill_ms and median_fill_ms (how long the last one and the last 64 took to be made; null before), last_error}
     */
    public JsonNode pools() {
        return Fields.object(json, "pools");
    }

    /** {@return latencies by function since open; functions never called are absent} */
    public Map<String, LatencySummary> latency() {
        return Fields.map(json, "latency", LatencySummary::new);
    }

    /** {@return rules that are broken now} */
    public List<HealthAlert> alerts() {
        return Fields.objects(json, "alerts", HealthAlert::new);
    }

    /** {@return sandboxes alive} */
    public int liveSandboxes() {
        return Fields.integer(json, "live_sandboxes");
    }

    /** {@return sandboxes that answered, of those probed} */
    public int responsiveSandboxes() {
        return Fields.integer(json, "responsive_sandboxes");
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }
}
