package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/**
 * The answers of the ten functions keep keys and JSON types of the reference. What those are was read off real calls of the
 * reference module (npm package neural-trader 2.8.11) and is in {@code reference-surface.json}.
 */
class ContractTest extends EngineTest {
    @Test
    void everyAnswerHasTheKeysAndTypesOfTheReference() {
        String sandbox = base();
        e2b().writeE2BFile(sandbox, "/data/SPY.csv", AgentTest.prices(60));
        E2BDocument deployed = e2b().deployE2BTemplate("base", "test", Map.of("instances", 1));
        String deployment = deployed.json().get("deployment_id").textValue();
        Map<String, E2BDocument> answers = Map.of(
                "createE2BSandbox", e2b().createE2BSandbox(Engine.name(), "base", 60, 64, 1),
                "listE2BSandboxes", e2b().listE2BSandboxes(null),
                "getE2BSandboxStatus", e2b().getE2BSandboxStatus(sandbox),
                "executeE2BProcess", e2b().executeE2BProcess(sandbox, "echo hello", null, 10, true),
                "runE2BAgent", e2b().runE2BAgent(sandbox, "momentum", List.of("SPY"), null, false),
                "monitorE2BHealth", e2b().monitorE2BHealth(true),
                "deployE2BTemplate", deployed,
                "scaleE2BDeployment", e2b().scaleE2BDeployment(deployment, 2, false),
                "exportE2BTemplate", e2b().exportE2BTemplate(sandbox, "contract", false),
                "terminateE2BSandbox", e2b().terminateE2BSandbox(sandbox, true));
        for (JsonNode function : PublicApiTest.functions()) {
            E2BDocument answer = answers.get(function.get("js").textValue());
            Documents.read(answer);
            for (Map.Entry<String, JsonNode> key : function.get("sample").properties()) {
                JsonNode value = answer.json().get(key.getKey());
                String where = function.get("js").textValue() + "." + key.getKey();
                assertNotNull(value, where + " is missing");
                assertEquals(key.getValue().getNodeType(), value.getNodeType(), where);
            }
            String timestamp = answer.json().get("timestamp").textValue();
            OffsetDateTime time = assertDoesNotThrow(() -> OffsetDateTime.parse(timestamp));
            assertEquals(ZoneOffset.UTC, time.getOffset(), timestamp);
        }
        e2b().scaleE2BDeployment(deployment, 0, false);
    }

    @Test
    void constantsOfTheReferenceThatAreAFact() {
        String sandbox = base();
        SandboxStatus status = e2b().getE2BSandboxStatus(sandbox);
        assertEquals("running", status.status());
        assertEquals(0, e2b().executeE2BProcess(sandbox, "true", List.of(), 10, true).exitCode());
        assertEquals("exported", e2b().exportE2BTemplate(sandbox, "facts", null).status());
        assertEquals("terminated", e2b().terminateE2BSandbox(sandbox, false).status());
    }
}
