package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.List;
import java.util.Objects;

/**
 * Answer of {@link E2B#runE2BAgent}.
 *
 * @param json the document as it came
 */
public record AgentResult(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public AgentResult {
        Objects.requireNonNull(json, "json");
    }

    /** {@return identifier of this run} */
    public String agentId() {
        return Fields.text(json, "agent_id");
    }

    /** {@return where it ran} */
    public String sandboxId() {
        return Fields.text(json, "sandbox_id");
    }

    /** {@return {@code completed}, {@code failed} or {@code timed_out}} */
    public String status() {
        return Fields.text(json, "status");
    }

    /** {@return the name of the agent} */
    public String agentType() {
        return Fields.text(json, "agent_type");
    }

    /** {@return the symbols asked for} */
    public List<String> symbols() {
        return Fields.texts(json, "symbols");
    }

    /** {@return what the agent answered, an object by symbol for the built-in ones; null when it failed or timed out} */
    public JsonNode result() {
        return Fields.optionalValue(json, "result");
    }

    /** {@return what a custom agent printed beside its answer} */
    public String stdout() {
        return Fields.text(json, "stdout");
    }

    /** {@return what the agent wrote to standard error} */
    public String stderr() {
        return Fields.text(json, "stderr");
    }

    /** {@return why it failed; null when it did not} */
    public CodeError error() {
        return Fields.optionalObject(json, "error", CodeError::new);
    }

    /** {@return wall time, milliseconds} */
    public double durationMs() {
        return Fields.number(json, "duration_ms");
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }
}
