package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.List;
import java.util.Objects;

/**
 * Answer of {@link E2B#deployE2BTemplate}.
 *
 * @param json the document as it came
 */
public record DeploymentCreated(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public DeploymentCreated {
        Objects.requireNonNull(json, "json");
    }

    /** {@return the new deployment} */
    public String deploymentId() {
        return Fields.text(json, "deployment_id");
    }

    /** {@return always {@code deployed}; anything else is an error} */
    public String status() {
        return Fields.text(json, "status");
    }

    /** {@return template name} */
    public String template() {
        return Fields.text(json, "template");
    }

    /** {@return the category asked for} */
    public String category() {
        return Fields.text(json, "category");
    }

    /** {@return number of instances} */
    public int instances() {
        return Fields.integer(json, "instances");
    }

    /** {@return their sandbox ids} */
    public List<String> sandboxIds() {
        return Fields.texts(json, "sandbox_ids");
    }

    /** {@return an object: the configuration asked for} */
    public JsonNode configuration() {
        return Fields.object(json, "configuration");
    }

    /** {@return the result of the agent named in {@code configuration.agent}, per instance; null without one} */
    public List<AgentResult> agents() {
        return json.hasNonNull("agents") ? Fields.objects(json, "agents", AgentResult::new) : null;
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }
}
