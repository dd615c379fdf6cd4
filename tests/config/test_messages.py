"""Mistakes in settings: the one line for each, and which comes first."""

from __future__ import annotations

import pytest
import yaml
from tables import cases, check_message, refusal

from neural_style.config import ConfigError, make_config

# Text + overrides => message, which is about the first mistake in reading order.
MISTAKES = r"""
stlye: {weight: 5} => stlye (line 1): unknown key; did you mean 'style'?
style: // wieght: 5 => style.wieght (line 2): unknown key; did you mean 'weight'?
iterations: 5 => iterations (line 1): unknown key; did you mean 'optimizer.iterations'?
content: {seed: 1} => content.seed (line 1): unknown key; did you mean 'init.seed'?
image: {x: 5} => image.x (line 1): unknown key; the keys here are aspect, size, scales, ...
init: {source: noise} => init.source (line 1): unknown key; the keys here are from, noise...
"a\nb\e[31m": 5 => a\nb\x1b[31m (line 1): unknown key; the keys here are content, style,
    total_variation, init, network, image, color, optimizer, runtime, output, video, sweep
init: // seed: 5 // seed: 6 => init.seed (line 3): repeated key, first written at line 2; keep one
init: {} //image: {} //init: {} => init (line 3): repeated key, first written at line 1; keep one
? [a] //: 5 => ? (line 1): found a list or a mapping as a key, expected text
content: photo.png => content (line 1): found 'photo.png', expected a mapping with keys among
    image, layers, weight, statistic, coarse_factor, normalization, normalize_gradients,
    laplacian_weight, laplacian_side
image: [384] => image (line 1): found a list, expected a mapping with keys among...
style: // //  weight: x => style.weight (line 3): found 'x', expected a number of at least 0
style: {weight: '1e-3'}
    => style.weight (line 1): found '1e-3', expected a number of at least 0; write it without quotes
optimizer: {iterations: 010} => optimizer.iterations (line 1): found '010', expected a whole number
    of at least 1, or a list of them; write it without the leading zero
content: {image: "a\0b"} => content.image (line 1): found 'a\x00b', expected a path
output: {image: Losses.PNG} => output.image (line 1): found 'Losses.PNG', the name of the loss...
style: {images: []} => style.images (line 1): found no image, expected at least one
style: // images: //  - a.png //  - '' => style.images[1] (line 4): found '', expected a path
style: {images: ''} => style.images (line 1): found '', expected a path
style: // images: //  - 5 => style.images[0] (line 3): found 5, expected a mapping with keys among
    path, weight, scale, mask, from_mask, fine
style: // images: //  - weight: 5 => style.images[0] (line 3): the key 'path' is missing
style: // images: //  - path: a //    wieght: 5 => style.images[0].wieght (line 4): unknown key...
style: // images: // - {path: a, scale: 0} => style.images[0].scale (line 3): found 0, expected...
style: // images: [{path: a, weight: 0}, {path: b, weight: 0}]
    => style.images (line 2): every image has weight 0, expected at least one above 0
style: // images: //  - path: a //    mask: {path: m.png, color: red} => style.images[0].mask.color
    (line 4): found 'red', expected a colour such as '#ff0000' (in quotes), or null
style: // images: // - path: a //   mask: //    path: m //    color: #Ff00aa // image: {size: 9}
    => style.images[0].mask.color (line 6): found nothing, as YAML takes what follows # as a
    comment; write the colour in quotes, '#Ff00aa', or null for a grey image
style: {images: [{path: a, from_mask: {path: m, color: }}]} => style.images[0].from_mask.color
    (line 1): found nothing, as YAML takes what follows # as a comment; write the colour in
    quotes, '#ffffff', or null for a grey image
style: {images: [{path: a, from_mask: {path: m.png, color: '#ff00'}}]}
    => style.images[0].from_mask.color (line 1): found '#ff00', expected a colour such as...
style: {images: [{path: a, mask: {}}]} => style.images[0].mask (line 1): the key 'path' is missing
style: {images: [{path: a, mask: ''}]} => style.images[0].mask (line 1): found '', expected a path
style: {images: [{path: a, mask: 5}]} => style.images[0].mask (line 1): found 5,
    expected a path, or a mapping with path and color
style: // layers: //  pool1: 1 //  relu_2: 1 => style.layers.relu_2 (line 4): found 'relu_2', ...
style: // layers: //  pool1: x => style.layers.pool1 (line 3): found 'x', expected a number...
style: {layers: [relu1_1, relu2_1, relu1_1]}
    => style.layers (line 1): found 'relu1_1' twice, expected every layer once
style: // weight: 5 // layers: {relu1_1: 0} => style.layers (line 3): every layer has weight 0,
    expected at least one above 0, or style.weight: 0
style: {layers: {}} => style.layers (line 1): every layer has weight 0, expected...
style: // statistic: {gram: 0, wasserstein: 0}
    => style.statistic (line 2): every statistic has weight 0, expected at least one above 0
style: {statistic: {gram: -1}} => style.statistic.gram (line 1): found -1, expected a number...
style: // images: [{path: a, mask: m.png}] // statistic: {gram: 1, histogram: 0.1}
    => style.statistic (line 3): found histogram with masks, which only other statistics support
style: {images: [{path: a, from_mask: m}], statistic: histogram} => style.statistic (line 1): ...
style: {images: [{path: a, from_mask: m}], statistic: sliced}
    => style.statistic (line 1): found sliced with masks, which only other statistics support
style: {statistic: sliced} //optimizer: {name: lbfgs} => optimizer.name (line 2): found lbfgs with
    sliced, whose directions are drawn anew for each iterate, but its line search needs one loss;
    set optimizer.name: adam
style: {statistic: {gram: 1, sliced: 2}} //runtime: {tile: 512} => runtime.tile (line 2): found 512
    with sliced, which needs all positions at once; set runtime.tile: none, or another statistic
style: {statistic: nearest, nearest_renewed: 9} //optimizer: {name: lbfgs} => optimizer.name (line
    2): found lbfgs with nearest_renewed, whose places are drawn anew for each iterate, but its
    line search needs one loss; set optimizer.name: adam
style: {statistic: nearest, nearest_renewed: 9, layers: [relu4_1, relu5_1]} => style.layers (line
    1): found none of blocks 1 to 3, which alone nearest_renewed compares; add relu3_1, or set
    nearest_renewed: 0
style: {statistic: nearest, images: [{path: a, mask: m}]} => style.statistic (line 1): found nearest
    with masks, which only other statistics support
style: {statistic: nearest} //runtime: {tile: 512} => runtime.tile (line 2): found 512 with nearest,
    which needs all positions at once; set runtime.tile: none, or another statistic
style: {statistic: nearest, mix: losses, images: [a, b]} => style.mix (line 1): found losses with
    nearest, which takes the features of all style images together; set mix: statistics
style: {statistic: nearest, images: [a, {path: b, weight: 2}]} => style.images (line 1): found
    weights that differ with nearest, which takes the features of all style images together; give
    them one weight, or 0
style: {statistic: remd} //optimizer: {name: lbfgs} => optimizer.name (line 2): found lbfgs with
    remd, whose places are drawn anew for each iterate, but its line search needs one loss; set
    optimizer.name: adam
style: {statistic: remd, images: [{path: a, mask: m}]} => style.statistic (line 1): found remd with
    masks, which only other statistics support
style: {statistic: remd} //runtime: {tile: 512} => runtime.tile (line 2): found 512 with remd, which
    needs all positions at once; set runtime.tile: none, or another statistic
style: {statistic: remd, mix: losses, images: [a, b]} => style.mix (line 1): found losses with remd,
    which takes the features of all style images together; set mix: statistics
style: {statistic: {gram: 1, remd: 1}, normalize_gradients: true} => style.normalize_gradients (line
    1): found true with remd, which compares all layers at once; set normalize_gradients: false
content: {statistic: gram} => content.statistic (line 1): found 'gram', expected 'features' or
    'self_similarity'
content: {statistic: self_similarity, normalize_gradients: true} => content.normalize_gradients
    (line 1): found true with self_similarity, which compares all layers at once; set
    normalize_gradients: false
content: {statistic: self_similarity} //optimizer: {name: lbfgs} => optimizer.name (line 2): found
    lbfgs with self_similarity, whose places are drawn anew for each iterate, but its line search
    needs one loss; set optimizer.name: adam
content: {statistic: self_similarity} //runtime: {tile: 512} => runtime.tile (line 2): found 512
    with self_similarity, which needs all positions at once; set runtime.tile: none, or another
    statistic
style: {statistic: nearest, normalize_gradients: true} => style.normalize_gradients (line 1): found
    true with nearest, which compares all layers at once; set normalize_gradients: false
style: {statistic: nearest} //content: {weight: 0} //image: {aspect: 2} => image.aspect (line 3):
    found an aspect with nearest, but the content fixes the shape; set aspect: null
color: {match_result: true, preserve: luminance} => color.match_result (line 1): found true with
    color.preserve: luminance, of which each sets the colours; set preserve: none, or match_result:
    false
style: {images: [{path: a, mask: m}]} //color: {match_result: true} => color.match_result (line 2):
    found true with masks, each of which has colours of its own; set match_result: false, or leave
    the masks out
total_variation: {channels: [0, 0, 0]} => total_variation.channels (line 1): every factor is 0,
    expected at least one above 0
output: {animation: gif} => output.animation (line 1): found 'gif' without intermediate...
style: {weight: 0} //total_variation: {weight: 0} //content: // weight: 0
    => content.weight (line 4): every term of the loss has weight 0, expected at least one above 0
style: {weight: 0} //total_variation: {weight: 0} //content: {layers: {}} => content (line 3): ...
image: {aspect: 2} => image.aspect (line 1): found an aspect with a content weight above 0, but the
    content fixes the shape; set content.weight: 0, or aspect: null
content: {normalize_gradients: true} //optimizer: // name: lbfgs => optimizer.name (line 3): found
    lbfgs with normalize_gradients, but its line search needs the gradient of the loss; set
    optimizer.name: adam
optimizer: {name: lbfgs, parametrization: laplacian} => optimizer.parametrization (line 1): found
    laplacian with lbfgs, which has optimizer.precondition for broad changes; set optimizer.name:
    adam, or parametrization: pixels
optimizer: {name: lbfgs} //style: {normalize_gradients: true} => optimizer.name (line 1): found...
style: {normalize_gradients: true, normalization: pixels} => style.normalization (line 1): found
    pixels with normalize_gradients, whose weights are norms of gradients; set another normalization
style: {weight: !!python/object/apply:os.system [ls]} => style.weight (line 1): found the tag
    '!!python/object/apply:os.system', expected a plain value
!!python/object/apply:os.system [ls] => settings (line 1): found the tag
    '!!python/object/apply:os.system', expected a plain value
style: {weight: !!int a} => style.weight (line 1): found the tag '!!int', expected a plain value
output: {name: !mine a} => output.name (line 1): found the tag '!mine', expected a plain value
{} + style.wieght=5 => style.wieght (--set): unknown key; did you mean 'weight'?
{} + style.weight=x => style.weight (--set): found 'x', expected a number of at least 0
{} + style.weight => style.weight (--set): found 'style.weight', expected key=value, ...
{} + =5 => --set: found '=5', expected key=value, for example style.weight=100
{} + style..weight=5 => style..weight (--set): found 'style..weight=5', expected key=value, ...
{} + style.layers=[pool1 => style.layers (--set): not valid YAML: while parsing a flow sequence...
{} + init={blur: 1, blur: 2} => init.blur (--set): repeated key, first written at --set; keep one
image: {size: 5} + image.size.x=1 => image.size.x (--set): image.size is not a mapping
{} + style.layers.relu1=2 => style.layers.relu1 (--set): found 'relu1', expected a layer such...
{} + content.image= => content.image (--set): found null, expected a path
{} + content.image=a: b => content.image (--set): found a mapping, expected a path; write a name
    with ': ' in quotes
output: {image: a.jpg} + output.depth=16 => output.depth (--set): found 16 with 'a.jpg', whose
    format holds 8; set output.image to a .png or .tif file, or depth: 8
output: {save_every: 0} + output.animation=gif => output.animation (--set): found 'gif' without
    intermediate images; set output.save_every above 0, or animation: none
optimizer: {nmae: 1} //content: {weight: x} => optimizer.nmae (line 1): ...
content: {weight: x} //optimizer: {nmae: 1} => content.weight (line 1): ...
style: {normalization: x, weight: x} => style.normalization (line 1): ...
style: // weight: 7 // weight: 7 //content: {weight: x} => style.weight (line 3): ...
content: {weight: x} //style: // weight: 7 // weight: 7 => content.weight (line 1): ...
style: {layers: {relu1_1: 0}} //output: {image: x} => style.layers (line 1): ...
output: {image: x} //style: {layers: {relu1_1: 0}} => output.image (line 1): ...
output: {image: x} + content.weight=x => output.image (line 1): ...
{} + output.image=x + content.weight=x => output.image (--set): ...
output: {image: x} + output.image=a.png + image.size=x => image.size (--set): ...
style: // weight: 0 // layers: {relu1_1: 0} + style.weight=5 => style.layers (line 3): ...
"""


@pytest.mark.parametrize(("written", "expected"), cases(MISTAKES))
def test_the_first_mistake_is_reported_by_its_key_and_line(load, written: str, expected: str):
    check_message(refusal(ConfigError, load, *written.split(" + ")), expected)


BAD_VALUES = """
{style: {wieght: 1}} => style.wieght: unknown key; did you mean 'weight'?
{style: {images: [{path: b, weight: true}]}} => style.images[0].weight: found true, expected...
{style: {weight: .nan}} => style.weight: found nan, expected a number of at least 0
{image: {5: 1}} => image[5]: found a key that is not text, expected one of aspect, size, scales,
    max_megapixels, color_management
{content: {layers: {5: 1}}} => content.layers[5]: found 5, expected a layer such as relu4_2, ...
"""


@pytest.mark.parametrize(("values", "expected"), cases(BAD_VALUES))
def test_mistakes_in_plain_values_are_reported_by_their_key(values: str, expected: str):
    check_message(refusal(ConfigError, make_config, yaml.safe_load(values)), expected)
