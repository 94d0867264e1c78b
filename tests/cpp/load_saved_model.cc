// Loads an export as TensorFlow Serving does and prints the embedding of one image with nothing
// edited, one number a line: load_saved_model EXPORT IMAGE NUM_ATTRIBUTES
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "tensorflow/cc/saved_model/loader.h"

int main(int argc, char** argv) {
  tensorflow::SavedModelBundle bundle;
  TF_CHECK_OK(tensorflow::LoadSavedModel({}, {}, argv[1], {"serve"}, &bundle));
  const auto& signature = bundle.meta_graph_def.signature_def().at("encode_query");
  std::ifstream file(argv[2], std::ios::binary);
  tensorflow::Tensor images(tensorflow::DT_STRING, {1});
  images.vec<tensorflow::tstring>()(0) =
      std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  tensorflow::Tensor edits(tensorflow::DT_INT32, {1, std::atoi(argv[3])});
  edits.flat<int>().setConstant(-1);
  std::vector<tensorflow::Tensor> outputs;
  TF_CHECK_OK(bundle.session->Run({{signature.inputs().at("image_bytes").name(), images},
                                   {signature.inputs().at("manipulation").name(), edits}},
                                  {signature.outputs().at("embedding").name()}, {}, &outputs));
  std::cout.precision(9);
  for (int i = 0; i < outputs[0].NumElements(); ++i)
    std::cout << outputs[0].flat<float>()(i) << "\n";
}
