package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.util.Objects;

/**
 * A rule that was broken at the time of a health check.
 *
 * @param json the document as it came
 */
public record HealthAlert(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public HealthAlert {
        Objects.requireNonNull(json, "json");
    }

    /**
     * {@return name of the rule: {@code sandbox_memory_percent}, {@code sandbox_disk_percent}, {@code sandbox_processes_percent},
     * {@code sandbox_unresponsive}, {@code host_memory_available_percent}, {@code isolation_below_full}, {@code engine_unavailable} or
     * {@code library_panics}}
     */
    public String rule() {
        return Fields.text(json, "rule");
    }

    /** {@return {@code warning} or {@code critical}} */
    public String severity() {
        return Fields.text(json, "severity");
    }

    /** {@return what it is about: a sandbox id, {@code engine}, {@code host}, or {@code isolation} with the tier behind it} */
    public String subject() {
        return Fields.text(json, "subject");
    }

    /** {@return the figure found: percent for rules whose name ends so, else a count} */
    public double value() {
        return Fields.number(json, "value");
    }

    /** {@return the figure that the rule allows, in the same unit} */
    public double threshold() {
        return Fields.number(json, "threshold");
    }

    /** {@return the alert in words} */
    public String message() {
        return Fields.text(json, "message");
    }
}
