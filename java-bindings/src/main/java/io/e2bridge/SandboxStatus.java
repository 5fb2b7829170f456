package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.Objects;

/**
 * Answer of {@link E2B#getE2BSandboxStatus}.
 *
 * @param json the document as it came
 */
public record SandboxStatus(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public SandboxStatus {
        Objects.requireNonNull(json, "json");
    }

    /** {@return identifier} */
    public String sandboxId() {
        return Fields.text(json, "sandbox_id");
    }

    /** {@return name} */
    public String name() {
        return Fields.text(json, "name");
    }

    /** {@return template name} */
    public String template() {
        return Fields.text(json, "template");
    }

    /** {@return {@code running}, {@code expired}, {@code terminated} or {@code failed}} */
    public String status() {
        return Fields.text(json, "status");
    }

    /** {@return when it was handed out} */
    public Instant startedAt() {
        return Fields.time(json, "started_at");
    }

    /** {@return when it will be ended, or would have been} */
    public Instant expiresAt() {
        return Fields.time(json, "expires_at");
    }

    /** {@return when it ended; null while it lives} */
    public Instant endedAt() {
        return Fields.optionalTime(json, "ended_at");
    }

    /** {@return why it ended; null while it lives} */
    public String reason() {
        return Fields.optionalText(json, "reason");
    }

    /** {@return limits in force} */
    public SandboxLimits limits() {
        return new SandboxLimits(Fields.object(json, "limits"));
    }

    /** {@return isolation in force} */
    public IsolationReport isolation() {
        return new IsolationReport(Fields.object(json, "isolation"));
    }

    /** {@return deployment it belongs to, or null} */
    public String deploymentId() {
        return Fields.optionalText(json, "deployment_id");
    }

    /** {@return live figures (the last ones of an ended sandbox)} */
    public SandboxMetrics metrics() {
        return new SandboxMetrics(Fields.object(json, "metrics"));
    }

    /** {@return when the figures were taken: at most 100 ms before the answer while it lives} */
    public Instant sampledAt() {
        return Fields.time(json, "sampled_at");
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }
}
