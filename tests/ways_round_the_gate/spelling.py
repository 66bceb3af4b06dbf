"""The same request, spelled so that a gate may read something else in it than MLflow does."""

from __future__ import annotations

import json
from typing import Any

from tests.gate_scene import PROXY, Scene, ok
from tests.ways_round_the_gate.way import AJAX, alias, file_is, in_production, move, on_alias, tag, tagged, way

TRANSITION = "/api/2.0/mlflow/model-versions/transition-stage"
JSON = {"Content-Type": "application/json"}


def wish(scene: Scene, **other: Any) -> dict[str, Any]:
    return {"name": scene.model, "version": "2", "stage": "Production", **other}


def raw(scene: Scene, who: str, body: Any, path: str = TRANSITION, **options: Any) -> Any:
    """A transition whose body is sent as it is."""
    return scene.server.request(who, "POST", path, data=body, **{"headers": JSON, **options})


@way("ann", in_production("2"))
def with_the_stage_said_twice(scene: Scene, who: str) -> Any:
    text = json.dumps(wish(scene))[:-1]
    return raw(scene, who, text.replace('"stage"', '"stage": "None", "stage"') + "}")


@way("ann", in_production("2"))
def with_the_version_said_twice(scene: Scene, who: str) -> Any:
    return raw(scene, who, '{"version": "1", ' + json.dumps(wish(scene))[1:])


@way("ann", in_production("2"))
def in_utf_16(scene: Scene, who: str) -> Any:
    return raw(scene, who, json.dumps(wish(scene)).encode("utf-16"))


@way("ann", in_production("2"))
def behind_a_byte_order_mark(scene: Scene, who: str) -> Any:
    return raw(scene, who, ("\ufeff" + json.dumps(wish(scene))).encode())


@way("ann", in_production("2"))
def with_escaped_letters(scene: Scene, who: str) -> Any:
    text = json.dumps(wish(scene)).replace("Production", "\\u0050roduction").replace("street", "stree\\u0074")
    return raw(scene, who, text)


@way("ann", in_production("2"))
def with_other_wishes_in_the_address(scene: Scene, who: str) -> Any:
    harmless = {"name": "another", "version": "3", "stage": "None"}
    return raw(scene, who, json.dumps(wish(scene)), params=harmless)


@way("ann", in_production("2"))
def with_a_megabyte_beside_it(scene: Scene, who: str) -> Any:
    return raw(scene, who, json.dumps(wish(scene, beside="x" * 2**20)))


@way("ann", in_production("2"))
def to_an_encoded_address(scene: Scene, who: str) -> Any:
    return raw(scene, who, json.dumps(wish(scene)), TRANSITION.replace("transition-stage", "%74ransition%2Dstage"))


@way("ann", in_production("2"))
def to_an_address_with_an_encoded_slash(scene: Scene, who: str) -> Any:
    return raw(scene, who, json.dumps(wish(scene)), TRANSITION.replace("/transition", "%2ftransition"))


@way("ann", in_production("2"))
def to_an_address_that_begins_with_two_slashes(scene: Scene, who: str) -> Any:
    return raw(scene, who, json.dumps(wish(scene)), f"/{TRANSITION}")


@way("ann", in_production("2"))
def with_a_nought_before_the_number(scene: Scene, who: str) -> Any:
    return move(scene, who, "02")


@way("ann", in_production("2"))
def with_blanks_around_the_number(scene: Scene, who: str) -> Any:
    return move(scene, who, " 2 ")


@way("ann", in_production("2"))
def with_the_number_in_other_digits(scene: Scene, who: str) -> Any:
    return move(scene, who, "٢")


@way("ann", on_alias("champion", "2"))
def an_alias_at_a_number_with_a_sign(scene: Scene, who: str) -> Any:
    return alias(scene, who, "champion", "+2")


@way("ann", tagged("3", "gates", "passed"))
def a_forged_tag_at_a_number_with_a_line(scene: Scene, who: str) -> Any:
    return tag(scene, who, "0_3", "gates", "passed")


# fullwidth letters, a letter that nobody sees, and a letter of another alphabet
@way("ann", tagged("3", "ｇａｔｅｓ", "passed"))
def a_tag_in_wide_letters(scene: Scene, who: str) -> Any:
    return tag(scene, who, "3", "ｇａｔｅｓ", "passed")


@way("ann", tagged("3", "g\u0430tes", "passed"))
def a_tag_with_a_letter_of_another_alphabet(scene: Scene, who: str) -> Any:
    return tag(scene, who, "3", "g\u0430tes", "passed")


@way("ann", on_alias("\u0441hampion", "2"))
def an_alias_with_a_letter_of_another_alphabet(scene: Scene, who: str) -> Any:
    return alias(scene, who, "\u0441hampion", "2")


def experiment_is_gone(scene: Scene) -> bool:
    query = "SELECT lifecycle_stage FROM experiments WHERE experiment_id = :number"
    return bool(scene.rows(query, number=int(scene.experiment))[0]["lifecycle_stage"] == "deleted")


@way("admin", experiment_is_gone)
def deleting_the_experiment_by_a_number_with_blanks(scene: Scene, who: str) -> Any:
    return scene.post(who, "experiments/delete", experiment_id=f" +{scene.experiment}")


@way("ann", file_is("2", "weights.bin", b"other"))
def writing_in_pieces_without_a_length(scene: Scene, who: str) -> Any:
    return scene.server.request(who, "PUT", f"{PROXY}/{scene.files('2')}/weights.bin", data=iter([b"ot", b"her"]))


@way("ann", file_is("2", "weights.bin", b"other"))
def writing_to_an_address_with_an_encoded_slash(scene: Scene, who: str) -> Any:
    return scene.put(who, f"{scene.files('2').replace('/', '%2f')}%2fweights.bin", b"other")


@way("ann", file_is("2", "weights.bin", None))
def deleting_to_an_address_with_encoded_slashes(scene: Scene, who: str) -> Any:
    return scene.server.request(who, "DELETE", f"{PROXY}/{scene.files('2').replace('/', '%2f')}")


@way("ann", file_is("2", "weights.bin", b"other"))
def through_the_uis_upload_with_the_run_said_twice(scene: Scene, who: str) -> Any:
    own = ok(scene.post(who, "runs/create", experiment_id=scene.experiment))["run"]["info"]["run_id"]
    query = [("run_uuid", scene.runs["2"]), ("run_uuid", own), ("path", "model/weights.bin"), ("run_id", own)]
    return scene.server.request(who, "POST", f"{AJAX}upload-artifact", params=query, data=b"other")


def with_a_tab(path: str) -> str:
    """MLflow decodes a path again and again, and tabs are lost on the way."""
    return path.replace("artifacts", "arti%2509facts")


@way("ann", file_is("2", "weights.bin", None))
def deleting_to_a_path_with_a_tab_in_it(scene: Scene, who: str) -> Any:
    return scene.server.request(who, "DELETE", f"{PROXY}/{with_a_tab(scene.files('2'))}/weights.bin")


@way("ann", file_is("2", "weights.bin", b"other"))
def writing_to_a_path_with_a_tab_in_it(scene: Scene, who: str) -> Any:
    return scene.put(who, f"{with_a_tab(scene.files('2'))}/weights.bin", b"other")


@way("ann", file_is("2", "weights.bin", b"other"))
def through_the_uis_upload_to_a_path_with_a_line_in_it(scene: Scene, who: str) -> Any:
    query = {"run_uuid": scene.runs["2"], "path": "mo%0adel/weights.bin"}
    return scene.server.request(who, "POST", f"{AJAX}upload-artifact", params=query, data=b"other")


@way("ann", file_is("2", "weights.bin", b"other"))
def through_the_uis_upload_to_a_path_that_begins_with_a_blank(scene: Scene, who: str) -> Any:
    query = {"run_uuid": scene.runs["2"], "path": "%2520model/weights.bin"}
    return scene.server.request(who, "POST", f"{AJAX}upload-artifact", params=query, data=b"other")
